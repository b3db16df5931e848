//! `[store]` and `[retention]`: where footage goes, and how long it stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::bucket::{
    Bucket, BucketError, EtagKind, MemoryBucket, S3Bucket, S3Credentials, S3Location, StoreUrl,
    parse_store_url,
};
use archive::limits::MIN_PART_BYTES;
use archive::{OnFull, PlayFrom, RetentionConfig, UploadConfig};
use serde_json::{Value, json};
use world::Clock;

use super::settings::{Keys, number};
use super::sources::Settings;
use super::{ConfigError, Size, Span};

/// `[store]`: for `archive`.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// As it was written.
    url: String,
    /// Folder of sealed segments on this side.
    pub(crate) folder: PathBuf,
    /// Where they are brought to.
    pub(super) remote: Remote,
    /// From where players get what is there.
    pub(crate) play_from: PlayFrom,
    /// How long a signed address lives.
    pub(crate) url_life: Span,
    part_size: Size,
    concurrency: u32,
    upload_limit: Size,
}

/// Where sealed segments are brought to.
#[derive(Clone, Debug)]
pub(super) enum Remote {
    /// Nowhere: the folder is the store.
    None,
    /// Into memory: for trying things out.
    Memory,
    /// To an S3 service.
    S3(Box<(S3Location, S3Credentials)>),
}

impl Store {
    pub(super) fn read(keys: &Keys<'_>, settings: &Settings, data: &Path) -> Result<Self, ConfigError> {
        let in_data = data.join("store");
        let local = keys.parse("store.local", |text| {
            Ok::<_, String>(if text.is_empty() { in_data.clone() } else { PathBuf::from(text) })
        })?;
        let url = keys.parse("store.url", |text| Ok::<_, String>(text.to_owned()))?;
        let place = keys.parse("store.url", |text| match text {
            "" => Ok(StoreUrl::Folder(in_data.clone())),
            url => parse_store_url(url),
        })?;
        let (folder, remote) = match place {
            StoreUrl::Folder(folder) => (folder, Remote::None),
            StoreUrl::Memory => (local, Remote::Memory),
            StoreUrl::S3(location) => (local, Remote::S3(Box::new((location, credentials(keys, settings)?)))),
        };
        Ok(Self {
            url,
            folder,
            remote,
            play_from: keys.parse("store.play_from", |text| match text {
                "bucket" => Ok(PlayFrom::Bucket),
                "node" => Ok(PlayFrom::Node),
                other => Err(format!("`{other}` is neither `bucket` nor `node`")),
            })?,
            url_life: keys.span("store.url_life", "10s", "7d")?,
            part_size: keys.parse("store.part_size", |text| {
                let size: Size = text.parse()?;
                if (MIN_PART_BYTES..=UploadConfig::MAX_PART_BYTES).contains(&size.bytes()) {
                    Ok(size)
                } else {
                    Err(format!("{size} is outside 5MiB to 256MiB"))
                }
            })?,
            concurrency: keys
                .parse("store.concurrency", |text| number(text, 1, UploadConfig::MAX_CONCURRENCY as u32))?,
            upload_limit: keys.parse("store.upload_limit", str::parse)?,
        })
    }

    /// How the bucket is filled.
    pub(crate) fn upload(&self) -> UploadConfig {
        UploadConfig {
            part_bytes: self.part_size.bytes(),
            concurrency: self.concurrency as usize,
            bytes_per_s: Some(self.upload_limit.bytes()).filter(|limit| *limit > 0),
            ..UploadConfig::default()
        }
    }

    /// The bucket, if there is one.
    pub(crate) fn bucket(&self, clock: &Arc<dyn Clock>) -> Result<Option<Arc<dyn Bucket>>, BucketError> {
        Ok(match &self.remote {
            Remote::None => None,
            Remote::Memory => Some(Arc::new(MemoryBucket::new(Arc::clone(clock)))),
            Remote::S3(place) => Some(Arc::new(S3Bucket::new(place.0.clone(), &place.1)?)),
        })
    }

    /// The bucket of an S3 service, if it is one.
    pub(crate) fn s3_bucket(&self) -> Option<Result<S3Bucket, BucketError>> {
        match &self.remote {
            Remote::S3(place) => Some(S3Bucket::new(place.0.clone(), &place.1)),
            _ => None,
        }
    }

    /// Whether the bucket is in the memory of a running node, which nobody else reaches.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.remote, Remote::Memory)
    }

    /// Length of the parts that entity tags are made of, where these are sums at all.
    pub(crate) fn etag_part_bytes(&self) -> Option<u64> {
        let is_sum = match &self.remote {
            Remote::S3(place) => place.0.etag == EtagKind::Md5,
            Remote::None | Remote::Memory => true,
        };
        is_sum.then_some(self.part_size.bytes())
    }

    /// Scheme, host and port that signed addresses begin with, where players are sent there.
    pub(crate) fn bucket_origin(&self) -> Option<String> {
        match &self.remote {
            Remote::S3(place) if self.play_from == PlayFrom::Bucket => Some(place.0.public_origin()),
            _ => None,
        }
    }

    /// Secrets masked.
    pub(super) fn to_json(&self, data: &Path) -> Value {
        let mask = |secret: &str| if secret.is_empty() { "" } else { "***" };
        let (key_id, secret) = match &self.remote {
            Remote::S3(place) => (place.1.key_id.as_str(), mask(&place.1.secret)),
            _ => ("", ""),
        };
        let is_named = !self.url.is_empty();
        let url = if is_named { self.url.clone() } else { format!("file:{}", data.join("store").display()) };
        let local = if matches!(self.remote, Remote::None) { PathBuf::new() } else { self.folder.clone() };
        json!({
            "url": url,
            "key_id": key_id,
            "secret_key": secret,
            "local": local,
            "play_from": if self.play_from == PlayFrom::Bucket { "bucket" } else { "node" },
            "url_life": self.url_life.to_string(),
            "part_size": self.part_size.to_string(),
            "concurrency": self.concurrency,
            "upload_limit": self.upload_limit.to_string(),
        })
    }
}

/// The pair of the settings, else the established variables.
fn credentials(keys: &Keys<'_>, settings: &Settings) -> Result<S3Credentials, ConfigError> {
    let own = |key: &str| keys.parse(key, |text| Ok::<_, String>(text.to_owned()));
    let (key_id, secret) = (own("store.key_id")?, own("store.secret_key")?);
    let established = |name: &str| settings.established(name).map(|setting| setting.text.trim().to_owned());
    let pair = if key_id.is_empty() && secret.is_empty() {
        (established("AWS_ACCESS_KEY_ID"), established("AWS_SECRET_ACCESS_KEY"))
    } else {
        (Some(key_id), Some(secret))
    };
    let missing = "a bucket needs credentials: set store.key_id and store.secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    S3Credentials::of_pair(pair.0, pair.1, None)
        .and_then(|credentials| credentials.ok_or_else(|| missing.to_owned()))
        .map_err(|reason| keys.invalid("store.key_id", reason))
}

/// `25%`: whole percent of 0 to 100.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    number
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| format!("`{text}` is no share from 0% to 100%, like 25%"))
}

/// `[retention]`: for `archive`.
#[derive(Clone, Debug)]
pub(crate) struct Retention {
    days: u32,
    min_free: Size,
    on_full: OnFull,
    keep_local: Option<Span>,
    max_share_percent: u8,
}

impl Retention {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            days: keys.parse("retention.days", |text| number(text, 0, catalog::MAX_RETENTION_DAYS))?,
            min_free: keys.parse("retention.min_free", str::parse)?,
            on_full: keys.parse("retention.on_full", |text| match text {
                "oldest-first" => Ok(OnFull::OldestFirst),
                "stop-recording" => Ok(OnFull::StopRecording),
                other => Err(format!("`{other}` is neither `oldest-first` nor `stop-recording`")),
            })?,
            keep_local: keys.parse("retention.keep_local", |text| {
                if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
            })?,
            max_share_percent: keys.parse("retention.max_share", percent)?,
        })
    }

    /// As `archive` knows it.
    pub(crate) fn config(&self) -> RetentionConfig {
        RetentionConfig {
            days: Some(self.days).filter(|days| *days > 0),
            min_free_bytes: self.min_free.bytes(),
            on_full: self.on_full,
            keep_local_us: self.keep_local.map(Span::micros),
            max_share_percent: self.max_share_percent,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "days": self.days,
            "min_free": self.min_free.to_string(),
            "on_full": if self.on_full == OnFull::OldestFirst { "oldest-first" } else { "stop-recording" },
            "keep_local": self.keep_local.map_or(String::new(), |span| span.to_string()),
            "max_share": format!("{}%", self.max_share_percent),
        })
    }
}
