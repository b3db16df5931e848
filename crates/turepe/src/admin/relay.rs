//! `turepe admin relay`: where single channels go. A target's key is read here and printed nowhere.

use catalog::{Catalog, NewRelayTarget, RelayTarget};
use relay::is_own_ingest;
use serde_json::{Value, json};

use super::failure;
use crate::cli::RelayCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::{input, output};

pub(super) async fn run(command: &RelayCommand, catalog: &Catalog, config: &Config) -> Result<(), Failure> {
    match command {
        RelayCommand::Add { channel, url, name, json } => {
            let [url] = input::resolved([url.as_str()])?;
            let is_own = media::rtmp::RtmpUrl::parse(&url)
                .is_ok_and(|url| is_own_ingest(&url.host, url.port, config.rtmp.listen));
            if is_own {
                return Err(Failure::usage("the target is this node's own ingest (`rtmp.listen`)"));
            }
            let new = NewRelayTarget { channel_id: *channel, name: name.clone(), url };
            let target = catalog.add_relay_target(new).await.map_err(failure)?;
            if *json { output::json(&target_json(&target)) } else { output::line(describe(&target)) }
        }
        RelayCommand::List { channel, json } => {
            let targets = match channel {
                Some(channel) => catalog.relay_targets_of(*channel).await,
                None => catalog.relay_targets().await,
            };
            let targets = targets.map_err(failure)?;
            if *json {
                let targets: Vec<Value> = targets.iter().map(target_json).collect();
                return output::json(&json!({ "relayTargets": targets }));
            }
            if targets.is_empty() {
                return output::line(
                    "No channel has a relay target of its own: turepe admin relay add --help",
                );
            }
            targets.iter().try_for_each(|target| output::line(describe(target)))
        }
        RelayCommand::Remove { id, json } => {
            catalog.remove_relay_target(*id).await.map_err(failure)?;
            if *json { output::json(&json!({ "id": id })) } else { output::line("No longer relayed there.") }
        }
    }
}

fn describe(target: &RelayTarget) -> String {
    let name = target.name.as_deref().map_or(String::new(), |name| format!("  {name}"));
    format!("{}  channel {}  {}{name}", target.id, target.channel_id, target.url.masked())
}

fn target_json(target: &RelayTarget) -> Value {
    json!({
        "id": target.id,
        "channelId": target.channel_id,
        "name": target.name,
        "address": target.url.masked(),
        "createdAt": super::instant(target.created_us),
    })
}
