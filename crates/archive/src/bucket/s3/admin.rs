//! Whether a bucket is set up as recording and playing need it, and putting right what we may put right.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use world::{Clock as _, SystemClock};

use super::{
    S3Bucket,
    answer::Answer,
    connection::Request,
    rules::{self, allows_playback, lifecycle_of, with_cors, with_lifecycle},
};
use crate::{
    bucket::{Bucket as _, BucketError},
    limits::{CLOCK_SKEW_DANGER_SECONDS, CLOCK_SKEW_WARNING_SECONDS},
    name::new_id,
};

/// What was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Checked {
    /// Whether the service answers, and to this bucket.
    Reachable,
    /// Whether this machine's clock is the service's.
    Clock,
    /// Listing objects.
    List,
    /// Storing an object.
    Put,
    /// Reading a range of it.
    Get,
    /// Reading a range of it by a presigned URL.
    PresignedGet,
    /// Uploading in parts, and forgetting an upload.
    Multipart,
    /// Listing uploads and their parts: a restart resumes from them, and abandoned uploads are found by them.
    ListUploads,
    /// Deleting an object with its versions.
    Delete,
    /// Whether browsers may play from the bucket.
    Cors,
    /// Whether what is left behind is cleaned up, and footage is not.
    Lifecycle,
}

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but costs money or trouble in time.
    Warning,
    /// Recording or playing fails because of it.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at.
    pub checked: Checked,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found and what to do about it, for people.
    pub says: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Warning => "warning",
            Verdict::Bad => "FAILED",
        };
        write!(f, "{mark}: {}", self.says)
    }
}

/// What putting right came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fixed {
    /// Nothing was to be done.
    WasRight,
    /// The bucket's rules were changed; those of others are as they were.
    Changed,
}

/// Bytes of the probe object: enough for a range inside it.
const PROBE: &[u8] = b"Tu Repe looks whether this bucket can be used. This object may be deleted.\n";

/// What the probe reads: neither from its start nor to its end, so that a service that ignores ranges is found out.
const PROBE_RANGE: std::ops::Range<u64> = 8..24;

/// How long the probe's presigned URL lives.
const PROBE_LIFE: Duration = Duration::from_secs(60);

/// Rules that a bucket has, or that none was ever set.
enum Document {
    Text(String),
    None,
    Unsupported,
}

impl S3Bucket {
    /// Looks at everything that recording and playing need. Stores a probe object and an upload below the prefix and
    /// deletes them again. `origins` are those of the pages that play
    /// (`https://turepe.example`); without one nothing is said of CORS.
    pub async fn check(&self, origins: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.check_reachable(&mut findings).await {
            return findings;
        }
        let name = format!(".turepe-probe/{}", new_id(SystemClock.now_us()));
        self.check_object(&name, &mut findings).await;
        self.check_multipart(&name, &mut findings).await;
        if !origins.is_empty() {
            findings.push(self.check_cors(origins).await);
        }
        findings.push(self.check_lifecycle().await);
        findings
    }

    /// Lets pages at these origins play from the bucket. Rules of others are kept.
    ///
    /// # Errors
    /// What the bucket said; nothing is written over rules that could not be read.
    pub async fn fix_cors(&self, origins: &[String]) -> Result<Fixed, BucketError> {
        let rules = match self.document("cors").await? {
            Document::Text(text) => rules::cors(&text).ok_or_else(|| unreadable("CORS"))?,
            Document::None => Vec::new(),
            Document::Unsupported => return Err(unsupported("CORS")),
        };
        if origins.iter().all(|origin| allows_playback(&rules, origin)) {
            return Ok(Fixed::WasRight);
        }
        self.put_document("cors", with_cors(&rules, origins)).await?;
        Ok(Fixed::Changed)
    }

    /// Lets the bucket forget uploads that nobody completes, and versions that nobody can read any more, below our
    /// prefix. Rules of others are kept, those too that expire footage: whether that is meant, people decide.
    ///
    /// # Errors
    /// What the bucket said; nothing is written over rules that could not be read.
    pub async fn fix_lifecycle(&self) -> Result<Fixed, BucketError> {
        let rules = match self.document("lifecycle").await? {
            Document::Text(text) => rules::lifecycle(&text).ok_or_else(|| unreadable("lifecycle"))?,
            Document::None => Vec::new(),
            Document::Unsupported => return Err(unsupported("lifecycle")),
        };
        let prefix = self.full("");
        let found = lifecycle_of(&rules, &prefix);
        if found.aborts_uploads && found.deletes_old_versions {
            return Ok(Fixed::WasRight);
        }
        self.put_document("lifecycle", with_lifecycle(&rules, &prefix)).await?;
        Ok(Fixed::Changed)
    }

    /// Whether the bucket answers at all: nothing else is worth asking if it does not.
    async fn check_reachable(&self, findings: &mut Vec<Finding>) -> bool {
        let request = Request::new(Method::GET, None)
            .query("list-type", "2")
            .query("prefix", &self.full(""))
            .query("max-keys", "1");
        let answer = match self.connection.send(request).await {
            Ok(answer) => answer,
            Err(error) => {
                findings.push(finding(Checked::Reachable, Err::<(), _>(error), ""));
                return false;
            }
        };
        findings.extend(clock(&answer));
        let is_list_right = answer.status != StatusCode::FORBIDDEN || answer.code() != "AccessDenied";
        match answer.success("") {
            Ok(_) => {
                let reached = format!("{} answers", self.describe());
                findings.push(finding(Checked::Reachable, Ok(()), &reached));
                findings.push(finding(Checked::List, Ok(()), "objects can be listed"));
                true
            }
            // The key is known, but has not this right: the others are worth knowing.
            Err(error) if !is_list_right => {
                findings.push(finding(Checked::List, Err::<(), _>(error), ""));
                true
            }
            Err(error) => {
                findings.push(finding(Checked::Reachable, Err::<(), _>(error), ""));
                false
            }
        }
    }

    async fn check_object(&self, name: &str, findings: &mut Vec<Finding>) {
        let stored = self.put(name, Bytes::from_static(PROBE)).await;
        let is_stored = stored.is_ok();
        findings.push(finding(Checked::Put, stored, "objects can be stored"));
        if !is_stored {
            return;
        }
        let read = self.read(name, PROBE_RANGE).await.and_then(|bytes| is_probe(&bytes));
        findings.push(finding(Checked::Get, read, "ranges can be read"));
        findings.push(finding(
            Checked::PresignedGet,
            self.probe_presigned(name).await,
            "ranges can be read by presigned URLs",
        ));
        let deleted = match self.delete(name).await {
            Ok(()) => match self.head(name).await {
                Ok(Some(_)) => Err(BucketError::invalid("the object is still there after it was deleted")),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        findings.push(finding(Checked::Delete, deleted, "objects can be deleted with their versions"));
    }

    async fn probe_presigned(&self, name: &str) -> Result<(), BucketError> {
        let url = self.presigned_get(name, PROBE_LIFE).await?.unwrap_or_default();
        let range = format!("bytes={}-{}", PROBE_RANGE.start, PROBE_RANGE.end - 1);
        let range = HeaderValue::from_str(&range).map_err(|_| BucketError::invalid("not a range"))?;
        let bytes = PROBE_RANGE.end - PROBE_RANGE.start;
        let answer = self.connection.get_url(&url, range, bytes).await?.success(name)?;
        is_probe(&answer.body)
    }

    /// Uploading and listing are rights of their own, and the second is one to do without.
    async fn check_multipart(&self, name: &str, findings: &mut Vec<Finding>) {
        let upload_id = match self.begin_upload(name).await {
            Ok(upload_id) => upload_id,
            Err(error) => return findings.push(finding(Checked::Multipart, Err::<(), _>(error), "")),
        };
        let sent = self.put_part(name, &upload_id, 1, Bytes::from_static(PROBE)).await;
        let listed = match &sent {
            Ok(etag) => Some(self.probe_listing(name, &upload_id, etag).await),
            Err(_) => None,
        };
        // Forgotten in any case: what was found first is what is told.
        let aborted = self.abort_upload(name, &upload_id).await;
        let uploaded = sent.map(drop).and(aborted);
        findings.push(finding(Checked::Multipart, uploaded, "uploads in parts work"));
        match listed {
            Some(Ok(())) => {
                findings.push(finding(Checked::ListUploads, Ok(()), "uploads and their parts can be listed"));
            }
            Some(Err(error)) => findings.push(warning(
                Checked::ListUploads,
                &format!(
                    "{}: {error}. Uploading works without it; uploads that nobody completes are not found, and cost money until a \
                     lifecycle rule forgets them",
                    doing(Checked::ListUploads)
                ),
            )),
            None => {}
        }
    }

    async fn probe_listing(&self, name: &str, upload_id: &str, etag: &str) -> Result<(), BucketError> {
        let parts = self.parts(name, upload_id).await?;
        if !parts.iter().any(|part| part.number == 1 && part.etag == etag) {
            return Err(BucketError::invalid("a part that was stored is not listed"));
        }
        let uploads = self.uploads(name).await?;
        if uploads.iter().any(|upload| upload.upload_id == upload_id) {
            Ok(())
        } else {
            Err(BucketError::invalid("an upload that was begun is not listed"))
        }
    }

    async fn check_cors(&self, origins: &[String]) -> Finding {
        let rules = match self.document("cors").await {
            Ok(Document::Text(text)) => rules::cors(&text),
            Ok(Document::None) => Some(Vec::new()),
            Ok(Document::Unsupported) => {
                return warning(
                    Checked::Cors,
                    "the service has no CORS rules: browsers may be kept from playing",
                );
            }
            Err(error) => return unread(Checked::Cors, &error),
        };
        let Some(rules) = rules else { return unread(Checked::Cors, &unreadable("CORS")) };
        let kept_out: Vec<&str> =
            origins.iter().filter(|origin| !allows_playback(&rules, origin)).map(String::as_str).collect();
        if kept_out.is_empty() {
            finding(Checked::Cors, Ok(()), "browsers may play from the bucket")
        } else {
            let says = format!(
                "CORS does not let pages of {} read ranges: `turepe doctor --fix` adds a rule",
                kept_out.join(", ")
            );
            Finding { checked: Checked::Cors, verdict: Verdict::Bad, says }
        }
    }

    async fn check_lifecycle(&self) -> Finding {
        let rules = match self.document("lifecycle").await {
            Ok(Document::Text(text)) => rules::lifecycle(&text),
            Ok(Document::None) => Some(Vec::new()),
            Ok(Document::Unsupported) => {
                return warning(
                    Checked::Lifecycle,
                    "the service has no lifecycle rules: uploads that were not completed are forgotten by us alone",
                );
            }
            Err(error) => return unread(Checked::Lifecycle, &error),
        };
        let Some(rules) = rules else { return unread(Checked::Lifecycle, &unreadable("lifecycle")) };
        let found = lifecycle_of(&rules, &self.full(""));
        if found.expires_objects {
            let says = "a lifecycle rule deletes objects below our prefix: footage would be lost behind our back, \
                        remove the rule";
            return Finding { checked: Checked::Lifecycle, verdict: Verdict::Bad, says: says.into() };
        }
        match (found.aborts_uploads, found.deletes_old_versions) {
            (true, true) => finding(Checked::Lifecycle, Ok(()), "what is left behind is cleaned up"),
            (false, _) => warning(
                Checked::Lifecycle,
                "no lifecycle rule forgets uploads that were not completed: `turepe doctor --fix` adds one",
            ),
            (true, false) => warning(
                Checked::Lifecycle,
                "no lifecycle rule deletes old versions, which cost as much as footage: `turepe doctor --fix` adds one",
            ),
        }
    }

    async fn document(&self, what: &str) -> Result<Document, BucketError> {
        let answer = self.connection.send(Request::new(Method::GET, None).query(what, "")).await?;
        if answer.is_not_implemented() {
            return Ok(Document::Unsupported);
        }
        if matches!(answer.code().as_str(), "NoSuchCORSConfiguration" | "NoSuchLifecycleConfiguration") {
            return Ok(Document::None);
        }
        let answer = answer.success("")?;
        String::from_utf8(answer.body.to_vec()).map(Document::Text).map_err(|_| unreadable(what))
    }

    async fn put_document(&self, what: &str, text: String) -> Result<(), BucketError> {
        let request = Request::new(Method::PUT, None).query(what, "").xml(text).await?;
        self.connection.send(request).await?.success("").map(|_| ())
    }
}

fn finding<T>(checked: Checked, result: Result<T, BucketError>, good: &str) -> Finding {
    match result {
        Ok(_) => Finding { checked, verdict: Verdict::Good, says: good.to_owned() },
        Err(error) => {
            Finding { checked, verdict: Verdict::Bad, says: format!("{}: {error}", doing(checked)) }
        }
    }
}

/// What failed, when it failed.
fn doing(checked: Checked) -> &'static str {
    match checked {
        Checked::Reachable => "reaching the bucket",
        Checked::Clock => "comparing clocks",
        Checked::List => "listing objects",
        Checked::Put => "storing an object",
        Checked::Get => "reading a range",
        Checked::PresignedGet => "reading a range by a presigned URL",
        Checked::Multipart => "uploading in parts",
        Checked::ListUploads => "listing uploads",
        Checked::Delete => "deleting an object",
        Checked::Cors => "reading the CORS rules",
        Checked::Lifecycle => "reading the lifecycle rules",
    }
}

fn warning(checked: Checked, says: &str) -> Finding {
    Finding { checked, verdict: Verdict::Warning, says: says.to_owned() }
}

/// Rules that may not be read: recording goes on, but nobody knows what they do.
fn unread(checked: Checked, error: &BucketError) -> Finding {
    Finding { checked, verdict: Verdict::Warning, says: format!("{}: {error}", doing(checked)) }
}

fn unreadable(what: &str) -> BucketError {
    BucketError::invalid(format!("the bucket's {what} rules cannot be read and are left as they are"))
}

fn unsupported(what: &str) -> BucketError {
    BucketError::invalid(format!("the service has no {what} rules"))
}

fn is_probe(bytes: &[u8]) -> Result<(), BucketError> {
    let bounds = usize::try_from(PROBE_RANGE.start).ok().zip(usize::try_from(PROBE_RANGE.end).ok());
    if bounds.and_then(|(start, end)| PROBE.get(start..end)) == Some(bytes) {
        Ok(())
    } else {
        Err(BucketError::invalid("other bytes than those that were stored"))
    }
}

/// Compares the clocks, if the service shows its own.
fn clock(answer: &Answer) -> Option<Finding> {
    let theirs_us = answer.date_us();
    if theirs_us == 0 {
        return None;
    }
    // To the second, as HTTP tells it.
    let off_seconds = (SystemClock.now_us() - theirs_us) / 1_000_000;
    let verdict = match off_seconds.abs() {
        off if off >= CLOCK_SKEW_DANGER_SECONDS => Verdict::Bad,
        off if off >= CLOCK_SKEW_WARNING_SECONDS => Verdict::Warning,
        _ => Verdict::Good,
    };
    let says = match verdict {
        Verdict::Good => "this machine's clock is the bucket's".to_owned(),
        _ => {
            let direction = if off_seconds > 0 { "ahead of" } else { "behind" };
            format!(
                "this machine's clock is {} s {direction} the bucket's: set it, at 900 s nothing is let in",
                off_seconds.abs()
            )
        }
    };
    Some(Finding { checked: Checked::Clock, verdict, says })
}
