//! What `turepe config` shows of the settings: a list of what may be shown. What is not in it is masked, so that a setting that is new
//! is hidden until somebody has thought about it.

use catalog::masked_url;
use serde_json::Value;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// How a setting is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    /// As it is.
    Plain,
    /// An address, or several: without what may be a secret in it.
    Url,
    /// Masked by its room in a way of its own, which names the host and hides the rest.
    Masked,
}

use How::{Masked, Plain, Url};

/// The settings that are shown at all; the rest are secrets.
const SHOWN: &[(&str, How)] = &[
    ("node.data", Plain),
    ("node.name", Plain),
    ("node.ffmpeg", Plain),
    ("tls.certificate", Plain),
    ("tls.key", Plain),
    ("http.listen", Plain),
    ("http.tls_listen", Plain),
    ("http.operators", Plain),
    ("http.operators_token_file", Plain),
    ("http.public_url", Url),
    ("http.free_range", Plain),
    ("http.memory", Plain),
    ("access.new_clubs", Plain),
    ("access.channels_of_no_club", Plain),
    ("rtmp.listen", Plain),
    ("rtmp.tls_listen", Plain),
    ("rtmp.public_url", Url),
    ("rtmp.max_connections", Plain),
    ("rtmp.max_connections_per_address", Plain),
    ("rtmp.max_players", Plain),
    ("rtmp.max_players_per_address", Plain),
    ("rtmp.max_waiting", Plain),
    ("rtmp.max_waiting_per_address", Plain),
    ("rtmp.establish_timeout", Plain),
    ("rtmp.idle_timeout", Plain),
    ("live.window", Plain),
    ("archive.record", Plain),
    ("archive.segment", Plain),
    ("archive.sync", Plain),
    ("covers.folder", Plain),
    ("covers.slate_after", Plain),
    ("covers.slate", Plain),
    ("database.url", Url),
    ("database.key_file", Plain),
    ("database.max_connections", Plain),
    ("database.connect_timeout", Plain),
    ("database.statement_timeout", Plain),
    ("store.url", Url),
    ("store.key_id", Plain),
    ("store.local", Plain),
    ("store.play_from", Plain),
    ("store.url_life", Plain),
    ("store.part_size", Plain),
    ("store.concurrency", Plain),
    ("store.upload_limit", Plain),
    ("retention.days", Plain),
    ("retention.min_free", Plain),
    ("retention.on_full", Plain),
    ("retention.keep_local", Plain),
    ("retention.max_share", Plain),
    ("directory.kind", Plain),
    ("directory.url", Url),
    ("directory.table", Plain),
    ("directory.column_id", Plain),
    ("directory.column_stream_id", Plain),
    ("directory.column_is_on_live", Plain),
    ("directory.column_last_status", Plain),
    ("directory.column_cover", Plain),
    ("directory.column_modified", Plain),
    ("directory.status_live", Plain),
    ("directory.status_offline", Plain),
    ("directory.cover_url", Url),
    ("directory.known_key", Plain),
    ("directory.unknown_key", Plain),
    ("directory.known_key_while_away", Plain),
    ("directory.check_keys", Plain),
    ("directory.refresh", Plain),
    ("directory.reconcile", Plain),
    ("directory.reconcile_after", Plain),
    ("relay.targets", Masked),
    ("srs.trusted", Plain),
    ("srs.key", Plain),
    ("srs.on_unknown_key", Plain),
    ("srs.ingest", Url),
    ("srs.server", Url),
    ("srs.server_user", Plain),
    ("srs.dvr_folder", Plain),
    ("srs.dvr_path", Plain),
    ("srs.dvr_zone", Plain),
    ("srs_api.listen", Plain),
    ("srs_api.user", Plain),
    ("log.format", Plain),
    ("log.filter", Plain),
];

/// The secrets, so that a setting stands in one of the two lists.
#[cfg(test)]
const SECRETS: &[&str] =
    &["store.secret_key", "directory.key", "srs.secret", "srs.server_password", "srs_api.password"];

/// The settings by section and key as they may be shown.
pub(super) fn shown(mut settings: Value) -> Value {
    for (section, keys) in settings.as_object_mut().into_iter().flatten() {
        for (key, value) in keys.as_object_mut().into_iter().flatten() {
            let name = format!("{section}.{key}");
            let how = SHOWN.iter().find(|(known, _)| *known == name).map(|(_, how)| *how);
            match how {
                Some(Plain | Masked) => {}
                Some(Url) => mask_url(value),
                None if value.as_str() == Some("") => {}
                None => *value = MASK.into(),
            }
        }
    }
    settings
}

fn mask_url(value: &mut Value) {
    if let Value::String(text) = value {
        // A path of one's own has no scheme to begin with, and may have a query.
        *text = if text.contains("://") || text.contains(':') {
            masked_url(text)
        } else {
            match text.split_once(['?', '#']) {
                Some((path, _)) => format!("{path}?{MASK}"),
                None => text.clone(),
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn every_setting_is_shown_or_a_secret() {
        let config = Config::read(&Sources::default()).unwrap().to_json();
        let sections = config.as_object().unwrap();
        let all: BTreeSet<String> = sections
            .iter()
            .flat_map(|(section, keys)| {
                keys.as_object().unwrap().keys().map(move |key| format!("{section}.{key}"))
            })
            .collect();
        let listed: Vec<&str> = SHOWN.iter().map(|(name, _)| *name).chain(SECRETS.iter().copied()).collect();
        assert_eq!(all, listed.iter().map(|name| (*name).to_owned()).collect(), "decide: shown, or a secret");
        assert_eq!(all.len(), listed.len(), "each once");
    }

    #[test]
    fn what_nobody_has_thought_about_is_hidden() {
        let settings = json!({
            "http": { "new_setting": "hunter2", "another": ["hunter2"], "empty": "", "public_url": "https://a/b?x=hunter2#hunter2" },
            "store": { "url": "s3://b/p?endpoint=https://h&new=hunter2", "secret_key": "hunter2" },
            "directory": { "cover_url": "thumbs/{md5}.jpg?token=hunter2", "url": "https://hunter2@h/" },
            "rtmp": { "public_url": "rtmp://u:hunter2@h/live" },
        });
        let shown = shown(settings);
        assert!(!shown.to_string().contains("hunter2"), "{shown:#}");
        assert_eq!(shown["http"]["empty"], "");
        assert_eq!(shown["store"]["url"], "s3://b/p?endpoint=https://h&new=***");
        assert_eq!(shown["directory"]["cover_url"], "thumbs/{md5}.jpg?***");
    }
}
