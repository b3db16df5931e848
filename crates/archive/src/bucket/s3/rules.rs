//! A bucket's CORS and lifecycle rules: what they allow, and how ours are put among those of others.
//!
//! Rules of others are kept letter by letter, whatever stands in them: each is cut out of the document as text.

use std::fmt::Write as _;

use quick_xml::{Reader, escape::escape, events::Event};
use serde::{Deserialize, de::DeserializeOwned};

use crate::limits::{
    CORS_MAX_AGE_SECONDS, LIFECYCLE_ABORT_UPLOADS_DAYS, LIFECYCLE_OLD_VERSIONS_DAYS, MAX_CORS_ORIGIN_CHARS,
};

/// Beginning of the ids of our CORS rules.
const CORS_ID: &str = "turepe-playback";

/// Beginning of the ids of our lifecycle rules.
const LIFECYCLE_ID: &str = "turepe";

/// What a player has to see of an answer.
const EXPOSED: [&str; 3] = ["content-range", "content-length", "etag"];

/// A rule as it stands in the document, and what we understand of it.
pub(super) struct Rule<T> {
    text: String,
    understood: T,
}

/// What we read of a CORS rule.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CorsRule {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(default, rename = "AllowedOrigin")]
    origins: Vec<String>,
    #[serde(default, rename = "AllowedMethod")]
    methods: Vec<String>,
    #[serde(default, rename = "AllowedHeader")]
    headers: Vec<String>,
    #[serde(default, rename = "ExposeHeader")]
    exposed: Vec<String>,
}

/// What we read of a lifecycle rule.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LifecycleRule {
    #[serde(rename = "ID")]
    id: Option<String>,
    /// Where it stood before there were filters.
    prefix: Option<String>,
    filter: Option<Filter>,
    status: Option<String>,
    expiration: Option<Empty>,
    noncurrent_version_expiration: Option<Noncurrent>,
    abort_incomplete_multipart_upload: Option<Empty>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    prefix: Option<String>,
    and: Option<And>,
    tag: Option<Empty>,
    object_size_greater_than: Option<String>,
    object_size_less_than: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct And {
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Noncurrent {
    noncurrent_days: Option<String>,
}

/// An element that is there, whatever is in it.
#[derive(Deserialize)]
struct Empty {}

/// The rules of a `CORSConfiguration`; `None` if it is not one.
pub(super) fn cors(document: &str) -> Option<Vec<Rule<CorsRule>>> {
    rules(document, "CORSRule")
}

/// The rules of a `LifecycleConfiguration`; `None` if it is not one.
pub(super) fn lifecycle(document: &str) -> Option<Vec<Rule<LifecycleRule>>> {
    rules(document, "Rule")
}

/// Whether a player at `origin` may read ranges.
pub(super) fn allows_playback(rules: &[Rule<CorsRule>], origin: &str) -> bool {
    rules.iter().any(|rule| rule.understood.allows_playback(origin))
}

/// The document with our rules for these origins among those of others.
pub(super) fn with_cors(rules: &[Rule<CorsRule>], origins: &[String]) -> String {
    let mut document = String::from("<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    let is_ours = |rule: &CorsRule| rule.id.as_deref().is_some_and(|id| id.starts_with(CORS_ID));
    for rule in rules.iter().filter(|rule| !is_ours(&rule.understood)) {
        document.push_str(&rule.text);
    }
    let mut groups: Vec<String> = Vec::new();
    for origin in origins {
        let element = format!("<AllowedOrigin>{}</AllowedOrigin>", escape(origin.as_str()));
        match groups.last_mut() {
            Some(group) if group.len() + element.len() <= MAX_CORS_ORIGIN_CHARS => group.push_str(&element),
            _ => groups.push(element),
        }
    }
    for (number, group) in groups.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            document,
            "<CORSRule><ID>{CORS_ID}-{number}</ID>{group}<AllowedMethod>GET</AllowedMethod>\
             <AllowedMethod>HEAD</AllowedMethod><AllowedHeader>range</AllowedHeader>"
        );
        for header in EXPOSED {
            let _ = write!(document, "<ExposeHeader>{header}</ExposeHeader>");
        }
        let _ = write!(document, "<MaxAgeSeconds>{CORS_MAX_AGE_SECONDS}</MaxAgeSeconds></CORSRule>");
    }
    document.push_str("</CORSConfiguration>");
    document
}

/// What the lifecycle rules do below a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lifecycle {
    /// Uploads that nobody completes are forgotten.
    pub(super) aborts_uploads: bool,
    /// What was deleted or overwritten stops costing.
    pub(super) deletes_old_versions: bool,
    /// A rule deletes footage behind our back.
    pub(super) expires_objects: bool,
}

/// What the rules do to everything below `prefix` (which ends with `/` or is empty).
pub(super) fn lifecycle_of(rules: &[Rule<LifecycleRule>], prefix: &str) -> Lifecycle {
    let mut all = Lifecycle::default();
    for rule in rules.iter().map(|rule| &rule.understood).filter(|rule| rule.is_enabled()) {
        let covers = prefix.starts_with(rule.prefix()) && !rule.is_narrowed();
        all.aborts_uploads |= covers && rule.abort_incomplete_multipart_upload.is_some();
        all.deletes_old_versions |= covers && rule.deletes_old_versions();
        let touches = covers || rule.prefix().starts_with(prefix) || prefix.starts_with(rule.prefix());
        all.expires_objects |= touches && rule.expiration.is_some();
    }
    all
}

/// The document with our rule for `prefix` among those of others.
pub(super) fn with_lifecycle(rules: &[Rule<LifecycleRule>], prefix: &str) -> String {
    let mut document =
        String::from("<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for rule in rules.iter().filter(|rule| !rule.understood.is_ours(prefix)) {
        document.push_str(&rule.text);
    }
    let id = lifecycle_id(prefix);
    let _ = write!(
        document,
        "<Rule><ID>{}</ID><Filter><Prefix>{}</Prefix></Filter><Status>Enabled</Status><NoncurrentVersionExpiration>\
         <NoncurrentDays>{LIFECYCLE_OLD_VERSIONS_DAYS}</NoncurrentDays></NoncurrentVersionExpiration>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{LIFECYCLE_ABORT_UPLOADS_DAYS}</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
        escape(id.as_str()),
        escape(prefix)
    );
    document
}

/// Each prefix has a rule of its own: several nodes may share a bucket.
fn lifecycle_id(prefix: &str) -> String {
    let prefix = prefix.trim_end_matches('/').replace('/', "-");
    let id = if prefix.is_empty() { LIFECYCLE_ID.to_owned() } else { format!("{LIFECYCLE_ID}-{prefix}") };
    // S3 takes 255.
    id.chars().take(200).collect()
}

impl CorsRule {
    fn allows_playback(&self, origin: &str) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|entry| matches(entry, wanted));
        let exposes = |wanted: &&str| has(&self.exposed, wanted);
        has(&self.origins, origin)
            && has(&self.methods, "GET")
            && has(&self.methods, "HEAD")
            && has(&self.headers, "range")
            && EXPOSED.iter().all(exposes)
    }
}

/// Whether an entry of a rule, which may have one `*`, stands for `wanted`. Headers and hosts have no case.
fn matches(entry: &str, wanted: &str) -> bool {
    let (entry, wanted) = (entry.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    match entry.split_once('*') {
        None => entry == wanted,
        Some((start, end)) => {
            wanted.len() >= start.len() + end.len() && wanted.starts_with(start) && wanted.ends_with(end)
        }
    }
}

impl LifecycleRule {
    fn is_enabled(&self) -> bool {
        self.status.as_deref() != Some("Disabled")
    }

    fn prefix(&self) -> &str {
        self.filter
            .as_ref()
            .and_then(|filter| {
                filter.prefix.as_deref().or_else(|| filter.and.as_ref().and_then(|and| and.prefix.as_deref()))
            })
            .or(self.prefix.as_deref())
            .unwrap_or_default()
    }

    /// Whether it is for some of the objects below its prefix only.
    fn is_narrowed(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| {
            filter.and.is_some()
                || filter.tag.is_some()
                || filter.object_size_greater_than.is_some()
                || filter.object_size_less_than.is_some()
        })
    }

    fn deletes_old_versions(&self) -> bool {
        self.noncurrent_version_expiration.as_ref().is_some_and(|rule| rule.noncurrent_days.is_some())
    }

    /// Ours by its id; or, where the service keeps no ids, by its prefix and by doing nothing else.
    fn is_ours(&self, prefix: &str) -> bool {
        let does_more = self.expiration.is_some() || self.is_narrowed();
        self.id.as_deref() == Some(lifecycle_id(prefix).as_str())
            || (self.prefix() == prefix
                && !does_more
                && (self.noncurrent_version_expiration.is_some()
                    || self.abort_incomplete_multipart_upload.is_some()))
    }
}

fn rules<T: DeserializeOwned>(document: &str, name: &str) -> Option<Vec<Rule<T>>> {
    children(document, name)?
        .into_iter()
        .map(|text| Some(Rule { understood: quick_xml::de::from_str(text).ok()?, text: text.to_owned() }))
        .collect()
}

/// The texts of the elements called `name` directly inside the outermost one.
fn children<'a>(document: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut reader = Reader::from_str(document);
    let mut found = Vec::new();
    let mut is_inside = false;
    loop {
        let start = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(element) if is_inside => {
                let is_wanted = element.local_name().as_ref() == name.as_bytes();
                let end_name = element.to_end().into_owned();
                reader.read_to_end(end_name.name()).ok()?;
                if is_wanted {
                    let end = usize::try_from(reader.buffer_position()).ok()?;
                    found.push(document.get(start..end)?);
                }
            }
            Event::Start(_) => is_inside = true,
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN_CORS: &str = "<CORSRule><ID>shop</ID><AllowedMethod>PUT</AllowedMethod>\
                                <AllowedOrigin>https://shop.example</AllowedOrigin><New x=\"1\">&amp;</New></CORSRule>";

    fn origins(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("https://club-{number:04}.example.org")).collect()
    }

    #[test]
    fn playback_is_allowed_and_what_others_allow_stays() {
        let before = format!(
            "<?xml version=\"1.0\"?>\n<CORSConfiguration xmlns=\"x\">\n {FOREIGN_CORS}\n</CORSConfiguration>"
        );
        let rules = cors(&before).unwrap();
        assert!(!allows_playback(&rules, "https://shop.example"));
        let after = with_cors(&rules, &origins(2));
        assert!(after.contains(FOREIGN_CORS), "{after}");
        let rules = cors(&after).unwrap();
        assert_eq!(rules.len(), 2);
        for origin in origins(2) {
            assert!(allows_playback(&rules, &origin));
        }
        assert!(!allows_playback(&rules, "https://other.example"));
        assert!(!allows_playback(&rules, "https://shop.example"));

        // Ours are replaced, not piled up.
        let again = with_cors(&rules, &["https://new.example".to_owned()]);
        let rules = cors(&again).unwrap();
        assert_eq!(rules.len(), 2);
        assert!(again.contains(FOREIGN_CORS));
        assert!(allows_playback(&rules, "https://new.example") && !allows_playback(&rules, &origins(1)[0]));
    }

    #[test]
    fn every_rule_is_short_enough_for_b2() {
        let rules = cors(&with_cors(&[], &origins(60))).unwrap();
        assert!(rules.len() > 5);
        assert!(rules.iter().all(|rule| rule.text.len() < 1000));
        assert!(origins(60).iter().all(|origin| allows_playback(&rules, origin)));
    }

    #[test]
    fn stars_stand_for_anything() {
        let rules = |origin: &str, header: &str| {
            cors(&format!(
                "<CORSConfiguration><CORSRule><AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                 <AllowedMethod>HEAD</AllowedMethod><AllowedHeader>{header}</AllowedHeader>\
                 <ExposeHeader>ETag</ExposeHeader><ExposeHeader>Content-*</ExposeHeader></CORSRule></CORSConfiguration>"
            ))
            .unwrap()
        };
        assert!(allows_playback(&rules("*", "*"), "https://a.example"));
        assert!(allows_playback(&rules("https://*.example", "Range"), "https://a.example"));
        assert!(!allows_playback(&rules("https://*.example", "x-other"), "https://a.example"));
        assert!(!allows_playback(&rules("http://*.example", "*"), "https://a.example"));
    }

    const FOREIGN_LIFECYCLE: &str = "<Rule><ID>logs</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>k</Key><Value>v</Value>\
                                     </Tag></And></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>";

    #[test]
    fn our_lifecycle_stands_beside_that_of_others() {
        let before = format!("<LifecycleConfiguration>{FOREIGN_LIFECYCLE}</LifecycleConfiguration>");
        let rules = lifecycle(&before).unwrap();
        assert_eq!(lifecycle_of(&rules, "tu-repe/"), Lifecycle::default());
        let after = with_lifecycle(&rules, "tu-repe/");
        assert!(after.contains(FOREIGN_LIFECYCLE), "{after}");
        let rules = lifecycle(&after).unwrap();
        let fine = Lifecycle { aborts_uploads: true, deletes_old_versions: true, expires_objects: false };
        assert_eq!(lifecycle_of(&rules, "tu-repe/"), fine);
        assert_eq!(lifecycle_of(&rules, "other/"), Lifecycle::default());
        // Again is the same; another prefix is another rule.
        assert_eq!(with_lifecycle(&rules, "tu-repe/"), after);
        let both = lifecycle(&with_lifecycle(&rules, "other/")).unwrap();
        assert_eq!(both.len(), 3);
        assert_eq!((lifecycle_of(&both, "other/"), lifecycle_of(&both, "tu-repe/")), (fine, fine));
    }

    #[test]
    fn footage_that_a_rule_would_delete_is_seen() {
        let rule = |inside: &str| {
            let document = format!("<LifecycleConfiguration><Rule>{inside}</Rule></LifecycleConfiguration>");
            lifecycle_of(&lifecycle(&document).unwrap(), "tu-repe/")
        };
        let expiry = "<Status>Enabled</Status><Expiration><Days>30</Days></Expiration>";
        assert!(rule(&format!("<Prefix></Prefix>{expiry}")).expires_objects);
        assert!(rule(&format!("<Filter/>{expiry}")).expires_objects);
        assert!(rule(&format!("<Filter><Prefix>tu-repe/club/</Prefix></Filter>{expiry}")).expires_objects);
        assert!(!rule(&format!("<Filter><Prefix>logs/</Prefix></Filter>{expiry}")).expires_objects);
        assert!(
            !rule("<Filter/><Status>Disabled</Status><Expiration><Days>30</Days></Expiration>")
                .expires_objects
        );
        let old = rule(
            "<Filter><Prefix>tu</Prefix></Filter><Status>Enabled</Status><NoncurrentVersionExpiration>\
             <NoncurrentDays>5</NoncurrentDays></NoncurrentVersionExpiration>",
        );
        assert!(old.deletes_old_versions && !old.aborts_uploads);
    }

    #[test]
    fn what_is_no_document_is_not_overwritten() {
        for broken in
            ["<CORSConfiguration><CORSRule>", "<CORSConfiguration><CORSRule></Other></CORSConfiguration>"]
        {
            assert!(cors(broken).is_none(), "{broken}");
        }
        assert!(cors("").unwrap().is_empty());
    }
}
