//! Names of objects in the store and of files in the spool.
//!
//! A spool file's name says everything that its row says, so that a file whose row never reached the catalog (the
//! database was away when recording went on) is registered at the next start all the same.

use uuid::{NoContext, Timestamp, Uuid};

use crate::limits::MAX_PREFIX_BYTES;

/// Ending of a growing spool file.
const SPOOL_SUFFIX: &str = ".mp4.part";

/// Between the parts of a spool file's name: it occurs in no slug and no UUID.
const SEPARATOR: char = '~';

/// What a spool file's name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SpoolName {
    /// The segment.
    pub(crate) id: Uuid,
    /// Its session.
    pub(crate) session_id: Uuid,
    /// UTC microseconds of its first presented instant.
    pub(crate) start_us: i64,
    /// First part of its object name, cleaned.
    pub(crate) prefix: String,
}

impl SpoolName {
    /// The file's name inside `spool/{channel}/`.
    pub(crate) fn file_name(&self) -> String {
        let prefix = self.prefix.replace('/', "~");
        format!(
            "{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{prefix}{SPOOL_SUFFIX}",
            self.id, self.session_id, self.start_us
        )
    }

    /// Reads a file's name back; `None` for a file that is not ours.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(SPOOL_SUFFIX)?.splitn(4, SEPARATOR);
        let id = parts.next()?.parse().ok()?;
        let session_id = parts.next()?.parse().ok()?;
        let start_us = parts.next()?.parse().ok()?;
        let prefix = clean_prefix(&parts.next()?.replace(SEPARATOR, "/"));
        Some(Self { id, session_id, start_us, prefix })
    }
}

/// A prefix that is safe as part of a path and of an object name: letters, digits, `-`, `_`, `.`, and `/` between
/// parts, none of which is empty, `.` or `..`; cut to [`MAX_PREFIX_BYTES`].
pub(crate) fn clean_prefix(prefix: &str) -> String {
    let mut clean = String::with_capacity(prefix.len().min(MAX_PREFIX_BYTES));
    for part in prefix.split('/').filter(|part| !part.is_empty()) {
        let is_dots = part.chars().all(|letter| letter == '.');
        if !clean.is_empty() {
            clean.push('/');
        }
        clean.extend(part.chars().map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
            '.' if !is_dots => letter,
            _ => '-',
        }));
    }
    // All letters are ASCII by now, so that any cut falls between letters.
    clean.truncate(MAX_PREFIX_BYTES);
    while clean.ends_with('/') {
        clean.pop();
    }
    clean
}

/// `{prefix}/{channel}/{YYYY}/{MM}/{DD}/{HHMMSS}Z-{segment}.mp4`, all UTC.
pub(crate) fn object_name(prefix: &str, channel_id: Uuid, start_us: i64, id: Uuid) -> String {
    let start = jiff::Timestamp::from_microsecond(start_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let when = start.strftime("%Y/%m/%d/%H%M%S");
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{prefix}{slash}{channel_id}/{when}Z-{id}.mp4")
}

/// What an object's name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ObjectName {
    /// Its first part: club and court.
    pub(crate) prefix: String,
    /// The channel.
    pub(crate) channel_id: Uuid,
    /// The second in which it starts, UTC microseconds.
    pub(crate) second_us: i64,
    /// The segment.
    pub(crate) id: Uuid,
}

impl ObjectName {
    /// Reads a name back; `None` for an object that is not ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.rsplitn(6, '/');
        let (time, id) = parts.next()?.strip_suffix(".mp4")?.split_once("Z-")?;
        let number = |text: &str| text.parse::<i16>().ok();
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let date = (number(year)?, i8::try_from(number(month)?).ok()?, i8::try_from(number(day)?).ok()?);
        let two = |at: usize| i8::try_from(number(time.get(at..at + 2)?)?).ok();
        let start = jiff::civil::DateTime::new(date.0, date.1, date.2, two(0)?, two(2)?, two(4)?, 0).ok()?;
        let second_us = start.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond();
        let (channel_id, id) = (parts.next()?.parse().ok()?, id.parse().ok()?);
        let prefix = parts.next().unwrap_or_default().to_owned();
        // What is written otherwise than we write it is somebody else's.
        (object_name(&prefix, channel_id, second_us, id) == name).then_some(Self {
            prefix,
            channel_id,
            second_us,
            id,
        })
    }

    /// What the names of all segments of its channel begin with, `/` included.
    pub(crate) fn folder(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}{slash}{}/", self.prefix, self.channel_id)
    }
}

/// A new version 7 UUID whose time is the given instant of the recording: rows sort by what they show, also when a past
/// match is recorded on simulated time.
pub(crate) fn new_id(at_us: i64) -> Uuid {
    let at_us = u64::try_from(at_us).unwrap_or(0);
    let nanos = u32::try_from(at_us % 1_000_000).unwrap_or(0) * 1000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, at_us / 1_000_000, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_name_says_everything_again() {
        let name = SpoolName {
            id: new_id(1_763_683_200_000_000),
            session_id: new_id(5),
            start_us: 1_763_683_200_123_456,
            prefix: "club-uno/cancha-2".into(),
        };
        assert_eq!(SpoolName::parse(&name.file_name()), Some(name));
    }

    #[test]
    fn a_foreign_name_is_not_ours() {
        for foreign in [
            "",
            ".mp4.part",
            "notes.txt",
            "a~b~c~d.mp4.part",
            "00000000-0000-0000-0000-000000000000.mp4.part",
        ] {
            assert_eq!(SpoolName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_prefix_never_leaves_its_folder() {
        assert_eq!(clean_prefix("../../etc/passwd"), "--/--/etc/passwd");
        assert_eq!(clean_prefix("/club//court/"), "club/court");
        assert_eq!(clean_prefix("señor~x"), "se-or-x");
        assert_eq!(clean_prefix(&"ab/".repeat(200)).len(), MAX_PREFIX_BYTES);
    }

    #[test]
    fn the_longest_spool_name_fits_a_file_system() {
        let name = SpoolName {
            id: Uuid::max(),
            session_id: Uuid::max(),
            start_us: i64::MIN,
            prefix: "x".repeat(MAX_PREFIX_BYTES),
        };
        assert!(name.file_name().len() <= 255);
    }

    #[test]
    fn an_object_is_named_by_its_start_in_utc() {
        let id = Uuid::nil();
        assert_eq!(
            object_name("club/court", Uuid::nil(), 1_763_683_199_999_999, id),
            format!("club/court/{0}/2025/11/20/235959Z-{0}.mp4", Uuid::nil())
        );
        assert!(object_name("", Uuid::nil(), 0, id).starts_with("00000000-"));
    }

    #[test]
    fn an_object_name_says_everything_again() {
        let id = new_id(1_763_683_199_999_999);
        for prefix in ["club/court", "", "none/none", "a/b/c"] {
            let name = object_name(prefix, Uuid::max(), 1_763_683_199_999_999, id);
            let parsed = ObjectName::parse(&name).unwrap();
            assert_eq!((parsed.prefix.as_str(), parsed.channel_id, parsed.id), (prefix, Uuid::max(), id));
            assert_eq!(parsed.second_us, 1_763_683_199_000_000);
            assert!(name.starts_with(&parsed.folder()), "{name}");
            for wrong in [name.replace("Z-", "z-"), name.replace("/20/", "/32/"), format!("{name}.incoming")]
            {
                assert_eq!(ObjectName::parse(&wrong), None, "{wrong}");
            }
        }
        assert_eq!(ObjectName::parse(".turepe-probe/x"), None);
    }
}
