//! What `[store] url` names, and the credentials that go with it. A half-configured bucket is an error, never silently
//! the local disk, and no error repeats what may be a secret.

use std::{fmt, path::PathBuf};

use url::{Host, Url};

/// Ending of the hosts of Backblaze B2's S3 API.
const B2_HOSTS: &str = ".backblazeb2.com";

/// Ending of the hosts of AWS.
const AWS_HOSTS: &str = ".amazonaws.com";

/// The settings that may follow the `?`.
const SETTINGS: &str = "endpoint, region, path_style, sse, kms_key, storage_class, etag";

/// Where credentials belong instead.
const CREDENTIALS_ELSEWHERE: &str = "credentials do not belong into the URL: set [store] key_id and secret_key, or \
                                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";

/// A store that a URL names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreUrl {
    /// `file:/var/lib/turepe/store`
    Folder(PathBuf),
    /// `memory:`
    Memory,
    /// `s3://bucket/prefix?…`
    S3(S3Location),
}

/// A bucket of an S3 service, and how it is to be spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// What all names begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Scheme, host and port: `https://s3.us-west-004.backblazeb2.com`.
    pub endpoint: Url,
    /// The region that signatures name.
    pub region: String,
    /// Whether the bucket stands in the path and not in the host's name.
    pub is_path_style: bool,
    /// Encryption at rest that is asked for.
    pub encryption: Option<Encryption>,
    /// Storage class that is asked for.
    pub storage_class: Option<String>,
    /// What the service's ETags are.
    pub etag: EtagKind,
}

/// Encryption at rest by the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Encryption {
    /// With the service's own keys (SSE-S3, SSE-B2).
    Aes256,
    /// With a key of AWS KMS; `None` for the account's default key.
    Kms(Option<String>),
}

/// What the ETags of parts and of objects stored whole are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EtagKind {
    /// The MD5 of what was stored: compared with that of what was sent.
    Md5,
    /// Anything (SSE-KMS): not compared; the payload is signed instead, so that the service compares.
    Opaque,
}

/// A key of an S3 service.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The key's public part.
    pub key_id: String,
    /// The key.
    pub secret: String,
    /// The token of a temporary key.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials")
            .field("key_id", &self.key_id)
            .field("secret", &"…")
            .finish_non_exhaustive()
    }
}

impl S3Credentials {
    /// Credentials of what a configuration has of them; `None` if it has nothing.
    ///
    /// # Errors
    /// Half of a pair, and what cannot stand in a header.
    pub fn of_pair(
        key_id: Option<String>,
        secret: Option<String>,
        session_token: Option<String>,
    ) -> Result<Option<Self>, String> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let credentials = match (given(key_id), given(secret)) {
            (Some(key_id), Some(secret)) => Self { key_id, secret, session_token: given(session_token) },
            (None, None) => return Ok(None),
            (Some(_), None) => return Err("there is a key id but no secret key".into()),
            (None, Some(_)) => return Err("there is a secret key but no key id".into()),
        };
        credentials.validate()?;
        Ok(Some(credentials))
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let all = [Some(&self.key_id), Some(&self.secret), self.session_token.as_ref()];
        let is_plain =
            |value: &String| !value.is_empty() && value.bytes().all(|letter| letter.is_ascii_graphic());
        if all.into_iter().flatten().all(is_plain) {
            Ok(())
        } else {
            Err("a key holds letters that no key has, a space or a line break perhaps".into())
        }
    }
}

impl S3Location {
    /// Scheme, host and port that addresses of its objects begin with.
    #[must_use]
    pub fn public_origin(&self) -> String {
        let origin = self.endpoint.origin().ascii_serialization();
        match origin.split_once("://") {
            Some((scheme, host)) if !self.is_path_style => format!("{scheme}://{}.{host}", self.bucket),
            _ => origin,
        }
    }

    /// Whether the service surely is another machine than this: it has a name of the public kind, or a public address. A
    /// service at home may be this very machine, whose clock cannot confirm itself.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        const AT_HOME: [&str; 7] =
            [".localhost", ".local", ".localdomain", ".internal", ".lan", ".home.arpa", ".test"];
        match self.endpoint.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name.contains('.') && !AT_HOME.iter().any(|ending| name.ends_with(ending))
            }
            Some(Host::Ipv4(ip)) => {
                !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified())
            }
            // Unique local and link-local addresses (RFC 4193, RFC 4291).
            Some(Host::Ipv6(ip)) => {
                let is_local = matches!(ip.segments().first(), Some(0xfc00..=0xfdff | 0xfe80..=0xfebf));
                !(ip.is_loopback() || ip.is_unspecified() || is_local || ip.to_ipv4_mapped().is_some())
            }
            None => false,
        }
    }

    /// Whether the service is Backblaze B2.
    #[must_use]
    pub fn is_b2(&self) -> bool {
        self.endpoint.host_str().is_some_and(|host| host.ends_with(B2_HOSTS))
    }
}

/// Reads the URL of a store.
///
/// # Errors
/// What is wrong with it or missing, in words for who wrote it. Values are not repeated: they may be secrets.
pub fn parse_store_url(url: &str) -> Result<StoreUrl, String> {
    if let Some(rest) = url.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err("`file:` needs a folder after it".into());
        }
        return Ok(StoreUrl::Folder(PathBuf::from(path)));
    }
    if let Some(rest) = url.strip_prefix("memory:") {
        return if rest.is_empty() {
            Ok(StoreUrl::Memory)
        } else {
            Err("nothing comes after `memory:`".into())
        };
    }
    if url.starts_with("s3://") {
        return s3_location(url).map(StoreUrl::S3);
    }
    Err("a store is `file:…`, `s3://bucket/prefix?…` or `memory:`; write for example `file:/var/lib/turepe/store`"
        .into())
}

fn s3_location(text: &str) -> Result<S3Location, String> {
    if text.split(['?', '#']).next().is_some_and(|place| place.contains('@')) {
        return Err(CREDENTIALS_ELSEWHERE.into());
    }
    let url = Url::parse(text).map_err(|_| "not a URL; write `s3://bucket/prefix?endpoint=…`".to_owned())?;
    let bucket = url.host_str().unwrap_or_default().to_owned();
    if bucket.is_empty() {
        return Err("the bucket's name is missing: `s3://bucket/prefix?…`".into());
    }
    if url.port().is_some() {
        return Err("the place after `s3://` is the bucket's; the host goes into `endpoint=`".into());
    }
    if url.fragment().is_some() {
        return Err("a `#` cannot stand in a store's URL".into());
    }
    let prefix = url.path().trim_matches('/').to_owned();
    if prefix.contains('%') || (!prefix.is_empty() && super::check_name(&prefix).is_err()) {
        return Err("the prefix may hold plain letters, digits, `-`, `_`, `.` and `/`".into());
    }
    let settings = Settings::read(&url)?;
    let (endpoint, region) = service(settings.endpoint.as_deref(), settings.region)?;
    let is_aws = endpoint.host_str().is_some_and(|host| host.ends_with(AWS_HOSTS));
    // A bucket's dot fits into no wildcard certificate; services of one's own seldom have a host for each bucket.
    let is_path_style = settings.is_path_style.unwrap_or(!is_aws || bucket.contains('.'));
    Ok(S3Location {
        bucket,
        prefix,
        endpoint,
        region,
        is_path_style,
        encryption: settings.encryption,
        storage_class: settings.storage_class,
        etag: settings.etag,
    })
}

/// What stands behind the `?`.
struct Settings {
    endpoint: Option<String>,
    region: Option<String>,
    is_path_style: Option<bool>,
    encryption: Option<Encryption>,
    storage_class: Option<String>,
    etag: EtagKind,
}

impl Settings {
    fn read(url: &Url) -> Result<Self, String> {
        let [mut endpoint, mut region, mut path_style, mut sse, mut kms_key, mut storage_class, mut etag] =
            [const { None }; 7];
        for (key, value) in url.query_pairs() {
            let place = match key.as_ref() {
                "endpoint" => &mut endpoint,
                "region" => &mut region,
                "path_style" => &mut path_style,
                "sse" => &mut sse,
                "kms_key" => &mut kms_key,
                "storage_class" => &mut storage_class,
                "etag" => &mut etag,
                key => return Err(unknown(key)),
            };
            if value.is_empty() || !value.bytes().all(|letter| letter.is_ascii_graphic()) {
                return Err(format!("`{key}=` needs a plain value"));
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(format!("`{key}=` stands there twice"));
            }
        }
        let is_path_style = match path_style.as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err("`path_style=` is `true` or `false`".into()),
        };
        let encryption = match (sse.as_deref(), kms_key) {
            (None, None) => None,
            (Some("AES256"), None) => Some(Encryption::Aes256),
            (Some("aws:kms"), key) => Some(Encryption::Kms(key)),
            (Some("AES256") | None, Some(_)) => return Err("`kms_key=` needs `sse=aws:kms`".into()),
            (Some(_), _) => return Err("`sse=` is `AES256` or `aws:kms`".into()),
        };
        let is_kms = matches!(encryption, Some(Encryption::Kms(_)));
        let etag = match etag.as_deref() {
            None if is_kms => EtagKind::Opaque,
            Some("md5") if is_kms => {
                return Err("with `sse=aws:kms` no ETag is an MD5: drop `etag=md5`".into());
            }
            None | Some("md5") => EtagKind::Md5,
            Some("opaque") => EtagKind::Opaque,
            Some(_) => return Err("`etag=` is `md5` or `opaque`".into()),
        };
        Ok(Self { endpoint, region, is_path_style, encryption, storage_class, etag })
    }
}

/// An unknown setting, named only if it cannot be a secret that was written in a wrong place.
fn unknown(key: &str) -> String {
    let is_word = key.len() <= 24 && key.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    let is_credential = ["key", "secret", "token", "password"].iter().any(|word| key.contains(word));
    if !is_word || is_credential {
        format!("a setting that is not known; known are {SETTINGS}. And {CREDENTIALS_ELSEWHERE}")
    } else {
        format!("`{key}` is not known; known are {SETTINGS}")
    }
}

/// Where the service is and which region it has: each may follow from the other, or has to be said.
fn service(endpoint: Option<&str>, region: Option<String>) -> Result<(Url, String), String> {
    match (endpoint, region) {
        (Some(endpoint), region) => {
            let endpoint = endpoint_url(endpoint)?;
            let host = endpoint.host_str().unwrap_or_default();
            let derived = [B2_HOSTS, AWS_HOSTS]
                .iter()
                .find_map(|hosts| host.strip_suffix(hosts)?.strip_prefix("s3."))
                .filter(|region| !region.contains('.'))
                .map(str::to_owned);
            if host.ends_with(B2_HOSTS) && derived.is_none() {
                return Err("an endpoint of B2 is `s3.REGION.backblazeb2.com`".into());
            }
            match (derived, region) {
                (Some(derived), Some(region)) if derived != region => {
                    Err(format!("the endpoint is of the region {derived}, `region=` says another"))
                }
                (Some(region), _) | (None, Some(region)) => Ok((endpoint, region)),
                (None, None) => Err("`region=` is missing: the service's documentation names it".into()),
            }
        }
        (None, Some(region)) if is_aws_region(&region) => {
            let url = format!("https://s3.{region}{AWS_HOSTS}");
            let endpoint = Url::parse(&url).map_err(|_| "`region=` cannot be a region".to_owned())?;
            Ok((endpoint, region))
        }
        (None, Some(_)) => {
            Err("`endpoint=` is missing: the region is none of AWS; a bucket of B2 shows its endpoint \
                                on its page, `s3.us-west-004.backblazeb2.com` for example"
                .into())
        }
        (None, None) => {
            Err("`endpoint=` is missing, `s3.us-west-004.backblazeb2.com` for example; for AWS `region=` \
                             is enough"
                .into())
        }
    }
}

fn endpoint_url(text: &str) -> Result<Url, String> {
    if text.contains('@') {
        return Err(CREDENTIALS_ELSEWHERE.into());
    }
    let wrong = || "`endpoint=` is a host, or `https://host`, or `http://host:port`".to_owned();
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_http = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    if !(is_bare && is_http) {
        return Err(wrong());
    }
    if url.scheme() == "http" && url.host_str().is_some_and(|host| host.ends_with(B2_HOSTS)) {
        return Err("B2 is reached by https alone".into());
    }
    Ok(url)
}

/// `eu-west-1`, `us-gov-west-1`: B2's have three digits.
fn is_aws_region(region: &str) -> bool {
    region.rsplit_once('-').is_some_and(|(place, number)| {
        place.contains('-')
            && place.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-')
            && number.len() == 1
            && number.bytes().all(|letter| letter.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(url: &str) -> S3Location {
        match parse_store_url(url) {
            Ok(StoreUrl::S3(location)) => location,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_service_at_home_may_be_this_machine() {
        let is_elsewhere = |endpoint: &str| {
            let url = format!("s3://b?region=r&endpoint={endpoint}");
            let StoreUrl::S3(location) = parse_store_url(&url).unwrap() else { panic!("{url}") };
            location.is_elsewhere()
        };
        for there in ["https://s3.clouds.example", "https://a.b.example:8443", "http://203.0.113.9:9000"] {
            assert!(is_elsewhere(there), "{there}");
        }
        for here in [
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            "http://minio:9000",
            "http://192.168.1.5:9000",
            "http://nas.local:9000",
            "http://[::1]:9000",
            "http://[fd00::1]:9000",
        ] {
            assert!(!is_elsewhere(here), "{here}");
        }
    }

    #[test]
    fn a_store_is_named_never_guessed() {
        let folder = |path: &str| Ok(StoreUrl::Folder(PathBuf::from(path)));
        assert_eq!(parse_store_url("file:/srv/store"), folder("/srv/store"));
        assert_eq!(parse_store_url("file:///srv/store"), folder("/srv/store"));
        assert_eq!(parse_store_url("file:data/store"), folder("data/store"));
        assert_eq!(parse_store_url("memory:"), Ok(StoreUrl::Memory));
        for wrong in ["", "/srv/store", "file:", "memory:x", "gs://bucket", "https://s3.amazonaws.com/b"] {
            assert!(parse_store_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn b2_says_its_region_in_its_host() {
        let b2 = s3("s3://club-footage/tu-repe?endpoint=s3.us-west-004.backblazeb2.com");
        assert_eq!((b2.bucket.as_str(), b2.prefix.as_str()), ("club-footage", "tu-repe"));
        assert_eq!(b2.endpoint.as_str(), "https://s3.us-west-004.backblazeb2.com/");
        assert_eq!(b2.region, "us-west-004");
        assert!(b2.is_path_style && b2.is_b2());
        assert_eq!((b2.encryption, b2.storage_class, b2.etag), (None, None, EtagKind::Md5));
        let same = s3("s3://b/?endpoint=https://s3.us-west-004.backblazeb2.com&region=us-west-004");
        assert_eq!((same.region.as_str(), same.prefix.as_str()), ("us-west-004", ""));
    }

    #[test]
    fn aws_and_others() {
        let aws =
            s3("s3://club/a/b/?region=eu-west-1&storage_class=STANDARD_IA&sse=aws:kms&kms_key=alias/club");
        assert_eq!(aws.endpoint.as_str(), "https://s3.eu-west-1.amazonaws.com/");
        assert!(!aws.is_path_style);
        assert_eq!(aws.prefix, "a/b");
        assert_eq!(aws.encryption, Some(Encryption::Kms(Some("alias/club".into()))));
        assert_eq!(aws.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(aws.etag, EtagKind::Opaque);
        assert!(s3("s3://club.example/x?region=eu-west-1").is_path_style);
        assert_eq!(s3("s3://b?endpoint=s3.eu-west-1.amazonaws.com").region, "eu-west-1");
        let garage = s3(
            "s3://b/p?endpoint=http://10.0.0.4:3900&region=garage&path_style=false&sse=AES256&etag=opaque",
        );
        assert_eq!(garage.endpoint.as_str(), "http://10.0.0.4:3900/");
        assert!(!garage.is_path_style);
        assert_eq!((garage.encryption, garage.etag), (Some(Encryption::Aes256), EtagKind::Opaque));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_without_repeating_it() {
        for (wrong, word) in [
            ("s3://", "bucket"),
            ("s3:///prefix?region=eu-west-1", "bucket"),
            ("s3://b/p", "endpoint"),
            ("s3://b/p?region=us-west-004", "endpoint"),
            ("s3://b/p?region=garage", "endpoint"),
            ("s3://b/p?endpoint=http://10.0.0.4:3900", "region"),
            ("s3://b/p?endpoint=s3.us-west-004.backblazeb2.com&region=us-east-005", "us-west-004"),
            ("s3://b/p?endpoint=f004.backblazeb2.com", "s3.REGION"),
            ("s3://b/p?endpoint=http://s3.us-west-004.backblazeb2.com", "https"),
            ("s3://b/p?region=eu-west-1&endpint=x", "`endpint` is not known"),
            ("s3://b/p?region=eu-west-1&region=eu-west-1", "twice"),
            ("s3://b/p?region=eu-west-1&path_style=yes", "path_style"),
            ("s3://b/p?region=eu-west-1&sse=kms", "sse"),
            ("s3://b/p?region=eu-west-1&kms_key=x", "sse=aws:kms"),
            ("s3://b/p?region=eu-west-1&sse=aws:kms&etag=md5", "etag"),
            ("s3://b/p?region=eu-west-1&etag=sha", "etag"),
            ("s3://b/p?region=", "region"),
            ("s3://b/../p%20q?region=eu-west-1", "prefix"),
            ("s3://b:443/p?region=eu-west-1", "endpoint"),
            ("s3://b/p?region=eu-west-1#x", "#"),
            ("s3://AKIA:hunter2@b/p?region=eu-west-1", "[store] key_id"),
            ("s3://b/p?endpoint=https://AKIA:hunter2@host&region=x", "[store] key_id"),
            ("s3://b/p?region=eu-west-1&secret_key=hunter2", "[store] key_id"),
            ("s3://b/p?region=eu-west-1&hunter2", "[store] key_id"),
            ("s3://b/p?endpoint=ftp://hunter2", "endpoint"),
        ] {
            let reason = parse_store_url(wrong).unwrap_err();
            assert!(reason.contains(word), "{wrong}: {reason}");
            assert!(!reason.contains("hunter2") && !reason.contains("AKIA"), "{wrong}: {reason}");
        }
    }

    #[test]
    fn half_of_a_pair_is_an_error_and_nothing_shows_a_secret() {
        let some = |text: &str| Some(text.to_owned());
        let credentials =
            S3Credentials::of_pair(some("id"), some("hunter2"), some("hunter3")).unwrap().unwrap();
        assert_eq!(credentials.secret, "hunter2");
        assert!(!format!("{credentials:?}").contains("hunter"), "{credentials:?}");
        assert_eq!(S3Credentials::of_pair(None, some(""), None), Ok(None));
        for (key_id, secret) in [(some("id"), None), (None, some("hunter2")), (some("id"), some("hunter2\n"))]
        {
            let reason = S3Credentials::of_pair(key_id, secret, None).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
