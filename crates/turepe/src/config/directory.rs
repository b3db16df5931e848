//! `[directory]`, and the established variables that switch it on.

use std::path::PathBuf;
use std::str::FromStr;

use catalog::masked_url;
use directory::{Ages, Column, Columns, DirectoryConfig, Identifier, Kind, TableName, Words};
use serde_json::{Value, json};

use super::settings::Keys;
use super::sources::{Setting, Settings};
use super::{ConfigError, Span};

/// `[directory]`: for `directory`.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    kind: Option<Kind>,
    table: TableName,
    columns: Columns,
    words: Words,
    known_key: Span,
    unknown_key: Span,
    known_key_while_away: Span,
    check_keys: Span,
    refresh: Span,
    reconcile: bool,
    reconcile_after: Span,
}

/// Longest word for a state, and longest cover: what Django's columns usually hold.
const MAX_WORD_BYTES: usize = 200;

impl Directory {
    pub(super) fn read(keys: &Keys<'_>, settings: &Settings) -> Result<Self, ConfigError> {
        let refresh = keys.span("directory.refresh", "1s", "1h")?;
        let reconcile_after = keys.span("directory.reconcile_after", "2s", "1d")?;
        let reconcile = keys.flag("directory.reconcile")?;
        if reconcile && reconcile_after.millis() < refresh.millis() * 2 {
            let reason = format!(
                "is less than twice `directory.refresh` ({refresh}): nodes would switch each other's channels off"
            );
            return Err(keys.invalid("directory.reconcile_after", reason));
        }
        let name = |key: &str| keys.parse(key, Identifier::from_str);
        let optional = |key: &str| -> Result<Column, ConfigError> {
            keys.parse(key, |text| if text.is_empty() { Ok(None) } else { text.parse().map(Some) })
        };
        let word = |key: &str| {
            keys.parse(key, |text| {
                let is_sound = text.len() <= MAX_WORD_BYTES && !text.chars().any(char::is_control);
                if is_sound {
                    Ok(text.to_owned())
                } else {
                    Err("is too long, or more than a line".to_owned())
                }
            })
        };
        Ok(Self {
            kind: kind(keys, settings)?,
            table: keys.parse("directory.table", TableName::from_str)?,
            columns: Columns {
                id: name("directory.column_id")?,
                stream_id: name("directory.column_stream_id")?,
                is_on_live: name("directory.column_is_on_live")?,
                last_status: optional("directory.column_last_status")?,
                cover: optional("directory.column_cover")?,
                modified: optional("directory.column_modified")?,
            },
            words: Words {
                live: word("directory.status_live")?,
                offline: word("directory.status_offline")?,
                cover: word("directory.cover_url")?,
            },
            known_key: keys.span("directory.known_key", "0s", "15s")?,
            unknown_key: keys.span("directory.unknown_key", "0s", "2s")?,
            known_key_while_away: keys.span("directory.known_key_while_away", "0s", "7d")?,
            check_keys: keys.span("directory.check_keys", "100ms", "15s")?,
            refresh,
            reconcile,
            reconcile_after,
        })
    }

    /// What the room is opened with; [`None`] where there is no directory.
    pub(crate) fn open_with(&self, journal: PathBuf) -> Option<DirectoryConfig> {
        Some(DirectoryConfig {
            kind: self.kind.clone()?,
            table: self.table.clone(),
            columns: self.columns.clone(),
            words: self.words.clone(),
            ages: Ages {
                known: self.known_key.duration(),
                unknown: self.unknown_key.duration(),
                known_while_away: self.known_key_while_away.duration(),
                check: self.check_keys.duration(),
                refresh: self.refresh.duration(),
                reconcile_after: self.reconcile_after.duration(),
            },
            reconcile: self.reconcile,
            journal,
        })
    }

    /// Secrets masked.
    pub(super) fn to_json(&self) -> Value {
        let (kind, url, key) = match &self.kind {
            None => ("none", String::new(), ""),
            Some(Kind::Supabase { url, .. }) => ("supabase", masked_url(url), "***"),
            Some(Kind::Postgres { url }) => ("postgres", masked_url(url), ""),
            Some(Kind::Mysql { url }) => ("mysql", masked_url(url), ""),
        };
        let optional = |column: &Column| column.as_ref().map_or(String::new(), ToString::to_string);
        json!({
            "kind": kind,
            "url": url,
            "key": key,
            "table": self.table.to_string(),
            "column_id": self.columns.id.as_str(),
            "column_stream_id": self.columns.stream_id.as_str(),
            "column_is_on_live": self.columns.is_on_live.as_str(),
            "column_last_status": optional(&self.columns.last_status),
            "column_cover": optional(&self.columns.cover),
            "column_modified": optional(&self.columns.modified),
            "status_live": self.words.live,
            "status_offline": self.words.offline,
            "cover_url": self.words.cover,
            "known_key": self.known_key.to_string(),
            "unknown_key": self.unknown_key.to_string(),
            "known_key_while_away": self.known_key_while_away.to_string(),
            "check_keys": self.check_keys.to_string(),
            "refresh": self.refresh.to_string(),
            "reconcile": self.reconcile,
            "reconcile_after": self.reconcile_after.to_string(),
        })
    }
}

/// Which directory, and how it is reached. `SUPABASE_URL` and `SUPABASE_KEY` fill in for `url` and `key`, and switch the
/// kind on where nobody has chosen one; a kind that somebody has chosen is not theirs to change.
fn kind(keys: &Keys<'_>, settings: &Settings) -> Result<Option<Kind>, ConfigError> {
    const KIND: &str = "directory.kind";
    const URL: &str = "directory.url";
    const KEY: &str = "directory.key";
    let chosen = keys.parse(KIND, |text| match text {
        "none" | "supabase" | "postgres" | "mysql" => Ok(text.to_owned()),
        other => Err(format!("`{other}` is none of `none`, `supabase`, `postgres` and `mysql`")),
    })?;
    let is_default = settings.get(KIND)?.is_default();
    let established = [settings.established("SUPABASE_URL"), settings.established("SUPABASE_KEY")];
    let is_supabase = chosen == "supabase" || (is_default && established.iter().any(Option::is_some));
    let [mut url, mut key] = [settings.get(URL)?, settings.get(KEY)?];
    if is_supabase {
        let or = |own: &'_ Setting| own.text.trim().is_empty();
        url = established[0].filter(|_| or(url)).unwrap_or(url);
        key = established[1].filter(|_| or(key)).unwrap_or(key);
        let missing = |name: &str, setting: &str, given: &Setting| ConfigError::Invalid {
            key: setting.to_owned(),
            source_name: given.source.clone(),
            reason: format!(
                "is empty: a Supabase directory needs both its address and a key; set {name} too"
            ),
        };
        let (url_text, key_text) = (url.text.trim(), key.text.trim());
        if url_text.is_empty() {
            return Err(missing("SUPABASE_URL", URL, url));
        }
        if key_text.is_empty() {
            return Err(missing("SUPABASE_KEY", KEY, key));
        }
        if !url_text.starts_with("https://") && !url_text.starts_with("http://") {
            return Err(ConfigError::Invalid {
                key: URL.to_owned(),
                source_name: url.source.clone(),
                reason: "must begin with https://, like https://project.supabase.co".to_owned(),
            });
        }
        return Ok(Some(Kind::Supabase { url: url_text.to_owned(), key: key_text.to_owned() }));
    }
    // The value holds a password: it is not repeated.
    let of = |schemes: [&str; 2]| {
        keys.parse(URL, |text| match schemes.iter().any(|scheme| text.starts_with(scheme)) {
            true => Ok(text.to_owned()),
            false => {
                Err(format!("must begin with {}, like {}user:password@host/database", schemes[0], schemes[0]))
            }
        })
    };
    Ok(match chosen.as_str() {
        "postgres" => Some(Kind::Postgres { url: of(["postgres://", "postgresql://"])? }),
        "mysql" => Some(Kind::Mysql { url: of(["mysql://", "mariadb://"])? }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources};
    use super::*;

    fn read(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Directory, String> {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let sources = Sources { environment: pairs(environment), flags: pairs(flags), ..Sources::default() };
        Config::read(&sources).map(|config| config.directory).map_err(|error| error.to_string())
    }

    const URL: (&str, &str) = ("SUPABASE_URL", "https://x.supabase.co");
    const KEY: (&str, &str) = ("SUPABASE_KEY", "sb_secret_hunter2");

    #[test]
    fn the_defaults_are_those_of_the_room() {
        assert!(read(&[], &[]).unwrap().open_with("j".into()).is_none());
        let config = read(&[URL, KEY], &[]).unwrap().open_with("j".into()).unwrap();
        let room = DirectoryConfig::new(config.kind.clone(), "j".into());
        assert_eq!((&config.table, &config.columns), (&room.table, &room.columns));
        assert_eq!((&config.words, config.ages, config.reconcile), (&room.words, room.ages, room.reconcile));
    }

    #[test]
    fn two_variables_switch_supabase_on_and_one_alone_is_an_error() {
        let directory = read(&[URL, KEY], &[]).unwrap();
        assert_eq!(directory.kind, Some(Kind::Supabase { url: URL.1.into(), key: KEY.1.into() }));
        for alone in [URL, KEY] {
            let said = read(&[alone, ("SUPABASE_NAME", "x")], &[]).unwrap_err();
            assert!(
                said.contains("SUPABASE_") && said.contains("too") && !said.contains("hunter2"),
                "{said}"
            );
            assert!(read(&[alone, (if alone == URL { KEY } else { URL }.0, " ")], &[]).is_err());
        }
        // What was chosen stays chosen.
        assert_eq!(read(&[URL, KEY], &[("directory.kind", "none")]).unwrap().kind, None);
        assert_eq!(read(&[URL], &[("directory.kind", "none")]).unwrap().kind, None);
        let own = [("directory.kind", "postgres"), ("directory.url", "postgres://u:p@h/db")];
        assert!(matches!(read(&[URL, KEY], &own).unwrap().kind, Some(Kind::Postgres { .. })));
        // Half from here, half from there.
        let directory = read(&[URL], &[("directory.key", "sb_secret_other")]).unwrap();
        assert!(matches!(directory.kind, Some(Kind::Supabase { key, .. }) if key == "sb_secret_other"));
    }

    #[test]
    fn secrets_are_masked() {
        let all = [
            read(&[URL, KEY], &[]).unwrap(),
            read(&[], &[("directory.kind", "mysql"), ("directory.url", "mysql://u:hunter2@h/db")]).unwrap(),
        ];
        for directory in all {
            let printed = format!("{} {directory:?}", directory.to_json());
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn mistakes_name_their_key_and_no_secret() {
        for (flags, reason) in [
            (&[("directory.kind", "oracle")][..], "is none of"),
            (&[("directory.kind", "supabase")], "SUPABASE_URL"),
            (
                &[("directory.kind", "postgres"), ("directory.url", "mysql://u:hunter2@h/d")],
                "must begin with postgres://",
            ),
            (
                &[
                    ("directory.kind", "supabase"),
                    ("directory.url", "ftp://hunter2"),
                    ("directory.key", "hunter2"),
                ],
                "https://",
            ),
            (&[("directory.table", "a;b")], "no name"),
            (&[("directory.column_id", "")], "no name"),
            (&[("directory.unknown_key", "5s")], "outside"),
            (&[("directory.refresh", "20s")], "twice"),
            (&[("directory.reconcile", "maybe")], "neither true nor false"),
        ] {
            let said = read(&[], flags).unwrap_err();
            assert!(
                said.contains("`directory.") && said.contains(reason) && !said.contains("hunter2"),
                "{said}"
            );
        }
        assert!(read(&[], &[("directory.refresh", "20s"), ("directory.reconcile", "false")]).is_ok());
    }
}
