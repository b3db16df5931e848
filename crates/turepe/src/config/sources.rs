//! Where settings come from, in which order they win, and which keys exist.
//!
//! Belongs here: layering and the check for unknown keys. Not here: what a value means ([`super::settings`]).

use std::collections::BTreeMap;

use ::config::{Config as Layers, File, FileFormat, Value, ValueKind};

use super::ConfigError;

/// The documented defaults: also the list of every key that exists.
pub(crate) const DEFAULT_TOML: &str = include_str!("../../turepe.default.toml");

/// Environment variables of this program begin with it.
const ENVIRONMENT_PREFIX: &str = "TUREPE_";

/// Names that other programs of this field have established. They mean what the modules of their sections say.
const ESTABLISHED: [&str; 5] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SUPABASE_URL", "SUPABASE_KEY", "TARGET_FORWARD_URL"];

/// Everything that may speak about settings, read but not understood yet.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sources {
    /// Name and text of `turepe.toml`.
    pub(crate) file: Option<(String, String)>,
    /// Text of `.env`.
    pub(crate) dotenv: Option<String>,
    /// The process environment; other variables than ours are skipped.
    pub(crate) environment: Vec<(String, String)>,
    /// `section.key` and value of each flag given.
    pub(crate) flags: Vec<(String, String)>,
}

/// One value in force and who said it.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// As text, whatever its type was.
    pub(crate) text: String,
    /// `the default`, a file name, an environment variable or a flag.
    pub(crate) source: String,
}

impl Setting {
    /// Whether nobody has said otherwise.
    pub(crate) fn is_default(&self) -> bool {
        self.source == DEFAULT_SOURCE
    }
}

/// The source of what is built in.
const DEFAULT_SOURCE: &str = "the default";

/// Every key of the defaults with the value in force, and the established variables that are set.
#[derive(Debug)]
pub(crate) struct Settings(BTreeMap<String, Setting>, BTreeMap<&'static str, Setting>);

impl Settings {
    /// Reads the layers from the weakest to the strongest.
    pub(crate) fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut all = Self(BTreeMap::new(), BTreeMap::new());
        for (key, text) in toml(DEFAULT_TOML, DEFAULT_SOURCE)? {
            all.0.insert(key, Setting { text, source: DEFAULT_SOURCE.to_owned() });
        }
        if let Some((name, text)) = &sources.file {
            for (key, text) in toml(text, name)? {
                all.replace(&key, text, name)?;
            }
        }
        if let Some(text) = &sources.dotenv {
            all.replace_from_environment(&parse_dotenv(text)?, ".env")?;
        }
        all.replace_from_environment(&sources.environment, "environment")?;
        for (key, text) in &sources.flags {
            all.replace(key, text.clone(), "flag")?;
        }
        Ok(all)
    }

    /// The value of a key of the defaults.
    pub(crate) fn get(&self, key: &str) -> Result<&Setting, ConfigError> {
        self.0.get(key).ok_or_else(|| ConfigError::UnknownKey {
            key: key.to_owned(),
            source_name: "the program".to_owned(),
            hint: String::new(),
        })
    }

    /// One of [`ESTABLISHED`], where it is set to something.
    pub(crate) fn established(&self, name: &str) -> Option<&Setting> {
        self.1.get(name).filter(|setting| !setting.text.trim().is_empty())
    }

    fn replace(&mut self, key: &str, text: String, source: &str) -> Result<(), ConfigError> {
        let Some(setting) = self.0.get_mut(key) else {
            return Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                source_name: source.to_owned(),
                hint: self.hint(key),
            });
        };
        *setting = Setting { text, source: source.to_owned() };
        Ok(())
    }

    fn replace_from_environment(
        &mut self,
        variables: &[(String, String)],
        source: &str,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if let Some(known) = ESTABLISHED.into_iter().find(|known| known == name) {
                let source = format!("{name} in {source}");
                self.1.insert(known, Setting { text: value.clone(), source });
                continue;
            }
            // A name without a section cannot mean a setting: it is somebody else's.
            let Some((section, key)) =
                name.strip_prefix(ENVIRONMENT_PREFIX).and_then(|rest| rest.split_once('_'))
            else {
                continue;
            };
            // Sections may have an underscore themselves (`srs_api`): a key that exists is meant.
            let wanted = format!("{section}_{key}").to_ascii_lowercase();
            let known = self.0.keys().find(|known| known.replacen('.', "_", 1) == wanted).cloned();
            let key = known
                .unwrap_or_else(|| format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase()));
            self.replace(&key, value.clone(), &format!("{name} in {source}")).map_err(
                |error| match error {
                    ConfigError::UnknownKey { hint, .. } => {
                        ConfigError::UnknownKey { key: name.clone(), source_name: source.to_owned(), hint }
                    }
                    other => other,
                },
            )?;
        }
        Ok(())
    }

    /// The key that was probably meant.
    fn hint(&self, key: &str) -> String {
        if let Some((_, instead)) = REPLACED.iter().find(|(old, _)| *old == key) {
            return format!("; {instead}");
        }
        let near = self.0.keys().map(|known| (distance(key, known), known)).min();
        match near {
            Some((distance, known)) if distance <= MAX_HINT_DISTANCE => format!("; did you mean `{known}`?"),
            _ => "; `turepe config --default` lists every key".to_owned(),
        }
    }
}

/// Keys that there were, and what there is in their place.
const REPLACED: [(&str, &str); 1] = [(
    "http.operations_token",
    "the operators' token stands in the file of `http.operators_token_file` now, operators.token in the data folder: write it there",
)];

/// More wrong letters than this are no slip of the finger.
const MAX_HINT_DISTANCE: usize = 3;

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// `section.key` and value of every entry of a TOML text.
fn toml(text: &str, name: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let unreadable = |error: ::config::ConfigError| ConfigError::Unreadable {
        source_name: name.to_owned(),
        reason: error.to_string(),
    };
    let layers =
        Layers::builder().add_source(File::from_str(text, FileFormat::Toml)).build().map_err(unreadable)?;
    let mut entries = Vec::new();
    flatten("", layers.cache, &mut entries);
    entries.sort();
    Ok(entries)
}

fn flatten(prefix: &str, value: Value, into: &mut Vec<(String, String)>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        // A list is its words, separated by commas, as people write it in a variable; where a key takes one word alone, it is
        // refused there, with the key's name.
        ValueKind::Array(values) => {
            let words: Vec<String> = values.into_iter().map(|value| value.kind.to_string()).collect();
            into.push((prefix.to_owned(), words.join(", ")));
        }
        kind => into.push((prefix.to_owned(), kind.to_string())),
    }
}

/// `KEY=value` lines; `#` comments, an optional `export`, quotes around the value.
fn parse_dotenv(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else {
            // The line itself may be a secret: only its number is told.
            return Err(ConfigError::Unreadable {
                source_name: ".env".to_owned(),
                reason: format!("line {} is not KEY=value", number + 1),
            });
        };
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        variables.push((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(settings: &Settings, key: &str) -> String {
        settings.get(key).expect("a key of the defaults").text.clone()
    }

    #[test]
    fn the_stronger_layer_wins() {
        let file = "[http]\nlisten = \"1.1.1.1:1\"\n[archive]\nsegment = \"10m\"\nsync = \"2s\"\n[rtmp]\nmax_connections = 7\n";
        let sources = Sources {
            file: Some(("turepe.toml".to_owned(), file.to_owned())),
            dotenv: Some(
                "# ours\nexport TUREPE_HTTP_LISTEN='2.2.2.2:2'\nTUREPE_ARCHIVE_SYNC=\"3s\"\nOTHER=1\n"
                    .to_owned(),
            ),
            environment: vec![
                ("TUREPE_HTTP_LISTEN".to_owned(), "3.3.3.3:3".to_owned()),
                ("TUREPE_SRS_API_LISTEN".to_owned(), String::new()),
                ("TUREPE_BIN".to_owned(), "/bin/turepe".to_owned()),
                ("HOME".to_owned(), "/".to_owned()),
            ],
            flags: vec![("node.data".to_owned(), "/d".to_owned())],
        };
        let settings = Settings::read(&sources).expect("valid");
        assert_eq!(text(&settings, "http.listen"), "3.3.3.3:3");
        assert_eq!(text(&settings, "archive.sync"), "3s");
        assert_eq!(text(&settings, "archive.segment"), "10m");
        assert_eq!(text(&settings, "rtmp.max_connections"), "7");
        assert_eq!(text(&settings, "node.data"), "/d");
        assert_eq!(text(&settings, "srs_api.listen"), "");
        assert_eq!(text(&settings, "rtmp.listen"), "0.0.0.0:1935");
        assert_eq!(settings.get("http.listen").expect("key").source, "TUREPE_HTTP_LISTEN in environment");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_likely_meaning() {
        let sources = Sources {
            file: Some(("club.toml".to_owned(), "[http]\nlisen = \":1\"\n".to_owned())),
            ..Sources::default()
        };
        let message = Settings::read(&sources).expect_err("unknown").to_string();
        assert_eq!(message, "unknown key `http.lisen` in club.toml; did you mean `http.listen`?");

        let sources = Sources {
            environment: vec![("TUREPE_STORE_BUCKET".to_owned(), "x".to_owned())],
            ..Sources::default()
        };
        let message = Settings::read(&sources).expect_err("unknown").to_string();
        assert!(message.starts_with("unknown key `TUREPE_STORE_BUCKET` in environment"), "{message}");

        let sources =
            Sources { file: Some(("club.toml".to_owned(), "top = 1\n".to_owned())), ..Sources::default() };
        assert!(Settings::read(&sources).is_err());
    }

    #[test]
    fn broken_files_say_where() {
        let sources =
            Sources { file: Some(("x.toml".to_owned(), "[http\n".to_owned())), ..Sources::default() };
        let message = Settings::read(&sources).expect_err("broken").to_string();
        assert!(message.contains("x.toml"), "{message}");
        let sources = Sources { dotenv: Some("A=1\nsecret words\n".to_owned()), ..Sources::default() };
        let message = Settings::read(&sources).expect_err("broken").to_string();
        assert!(message.contains("line 2") && !message.contains("secret"), "{message}");
    }
}
