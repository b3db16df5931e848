//! `turepe admin court`

use catalog::{Catalog, Court};
use serde_json::{Value, json};

use super::failure;
use crate::cli::CourtCommand;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(command: &CourtCommand, catalog: &Catalog) -> Result<(), Failure> {
    match command {
        CourtCommand::Add { club, slug, name, json } => {
            let club = super::club(catalog, club).await?;
            let court = catalog.create_court(club.id, slug, name).await.map_err(failure)?;
            if *json {
                return output::json(&court_json(&court, &club.slug));
            }
            let club = &club.slug;
            output::line(format_args!(
                "Court `{slug}` created. Next: turepe admin channel add --club {club} --court {slug} --push"
            ))
        }
        CourtCommand::List { club, json } => {
            let club = super::club(catalog, club).await?;
            let courts = catalog.courts(club.id).await.map_err(failure)?;
            if *json {
                let courts: Vec<_> = courts.iter().map(|court| court_json(court, &club.slug)).collect();
                return output::json(&json!({ "courts": courts }));
            }
            if courts.is_empty() {
                return output::line("The club has no court yet: turepe admin court add --help");
            }
            courts
                .iter()
                .try_for_each(|court| output::line(format_args!("{:<16} {}", court.slug, court.name)))
        }
    }
}

fn court_json(court: &Court, club: &str) -> Value {
    json!({ "id": court.id, "club": club, "slug": court.slug, "name": court.name })
}
