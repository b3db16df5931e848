//! `turepe admin channel`: the only place that prints a stream key, and each key once.

use catalog::{Catalog, ChannelRoute, NewChannel, Source};
use serde_json::{Value, json};

use super::failure;
use crate::cli::ChannelCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(command: &ChannelCommand, catalog: &Catalog, config: &Config) -> Result<(), Failure> {
    match command {
        ChannelCommand::Add { club, court, name, json, push: _ } => {
            let club = super::club(catalog, club).await?;
            let court = super::court(catalog, &club, court).await?;
            let name = name.clone().unwrap_or_else(|| court.name.clone());
            let new = NewChannel { court_id: Some(court.id), name, source: Source::Push };
            let (channel, key) = catalog.create_channel(new).await.map_err(failure)?;
            let route = ChannelRoute { channel, club_slug: Some(club.slug), court_slug: Some(court.slug) };
            show(&route, &key.unwrap_or_default(), config, *json)
        }
        ChannelCommand::NewKey { id, json } => {
            let key = catalog.rotate_key(*id).await.map_err(failure)?;
            let route = catalog.channel_route(*id).await.map_err(failure)?;
            let route = route.ok_or_else(|| super::missing(catalog::Kind::Channel, &id.to_string(), LIST))?;
            show(&route, &key, config, *json)
        }
        ChannelCommand::List { club, court, json } => {
            let mut routes = catalog.channel_routes().await.map_err(failure)?;
            if let Some(club) = club {
                let club = super::club(catalog, club).await?;
                routes.retain(|route| route.club_slug.as_ref() == Some(&club.slug));
                if let Some(court) = court {
                    let court = super::court(catalog, &club, court).await?;
                    routes.retain(|route| route.court_slug.as_ref() == Some(&court.slug));
                }
            }
            if *json {
                return output::json(
                    &json!({ "channels": routes.iter().map(route_json).collect::<Vec<_>>() }),
                );
            }
            if routes.is_empty() {
                return output::line("There is no channel: turepe admin channel add --help");
            }
            routes.iter().try_for_each(|route| {
                output::line(format_args!(
                    "{}  {:<24} {}",
                    route.channel.id,
                    place(route),
                    route.channel.name
                ))
            })
        }
    }
}

/// Lists what there is to choose from.
const LIST: &str = "turepe admin channel list";

fn show(route: &ChannelRoute, key: &str, config: &Config, as_json: bool) -> Result<(), Failure> {
    let server = &config.rtmp.public_url;
    if as_json {
        let mut value = route_json(route);
        value["streamKey"] = json!(key);
        value["server"] = json!(server);
        return output::json(&value);
    }
    output::line(format_args!(
        "Channel {} ({})\n\n  Server      {server}\n  Stream key  {key}\n\n\
         The key is shown this once. In OBS: Settings, Stream, Service \"Custom\". With ffmpeg:\n\
         ffmpeg -re -i match.mp4 -c copy -f flv {server}/{key}",
        route.channel.id,
        place(route),
    ))
}

fn place(route: &ChannelRoute) -> String {
    format!("{}/{}", route.club_slug.as_deref().unwrap_or("-"), route.court_slug.as_deref().unwrap_or("-"))
}

fn route_json(route: &ChannelRoute) -> Value {
    let source = match route.channel.source {
        Source::Push => "push",
        Source::Pull(_) => "pull",
    };
    json!({
        "id": route.channel.id,
        "club": route.club_slug,
        "court": route.court_slug,
        "name": route.channel.name,
        "source": source,
    })
}
