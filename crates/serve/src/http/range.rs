//! Which bytes of a file a request wants (RFC 9110 §13 and §14). Pure.

use axum::http::{HeaderMap, Method, header};
use std::ops::Range;

/// What to answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selection {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes; never empty.
    Part(Range<u64>),
    /// 304: the reader has it.
    NotModified,
    /// 412: the reader wanted another version.
    PreconditionFailed,
    /// 416: nothing there.
    NotSatisfiable,
}

/// Decides from the request's fields, in the order of RFC 9110 §13.2.2. `etag` is strong and in quotes.
///
/// There is no `Last-Modified`, so conditions by date are ignored and an `If-Range` by date never holds (§13.1.5).
pub(crate) fn select(method: &Method, headers: &HeaderMap, length: u64, etag: &str) -> Selection {
    if let Some(condition) = joined(headers, &header::IF_MATCH)
        && !lists(&condition, etag, Comparison::Strong)
    {
        return Selection::PreconditionFailed;
    }
    if let Some(condition) = joined(headers, &header::IF_NONE_MATCH)
        && lists(&condition, etag, Comparison::Weak)
    {
        return Selection::NotModified;
    }
    // §14.2: Range is defined for GET alone, and several Range fields are as good as none.
    if method != Method::GET || headers.get_all(header::RANGE).iter().count() != 1 {
        return Selection::Whole;
    }
    if let Some(condition) = headers.get(header::IF_RANGE)
        && condition.as_bytes() != etag.as_bytes()
    {
        return Selection::Whole;
    }
    let Some(Ok(text)) = headers.get(header::RANGE).map(|value| value.to_str()) else {
        return Selection::Whole;
    };
    match parse(text) {
        Some(spec) => spec.within(length).map_or(Selection::NotSatisfiable, Selection::Part),
        None => Selection::Whole,
    }
}

/// One byte range as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spec {
    /// `first-` or `first-last`.
    From { first: u64, last: u64 },
    /// `-length`.
    Suffix { length: u64 },
}

impl Spec {
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.saturating_add(1).min(length),
            Self::Suffix { length: suffix } => length.saturating_sub(suffix)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A single `bytes` range. `None` where the field is to be ignored (§14.2): another unit, bad syntax, an inverted
/// range, or a list: a server may ignore Range, and for a list the whole file is the only one-part answer that has
/// everything that was asked for.
fn parse(text: &str) -> Option<Spec> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(Spec::Suffix { length: number(suffix)? }),
        (first, "") => Some(Spec::From { first: number(first)?, last: u64::MAX }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last })
        }
    }
}

/// `1*DIGIT`; what is too large for any file counts as the largest number.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn joined(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let mut fields = headers.get_all(name).iter().peekable();
    fields.peek()?;
    let texts: Vec<&str> = fields.map(|value| value.to_str().unwrap_or_default()).collect();
    Some(texts.join(","))
}

/// Whether a list of entity tags (or `*`) has this one (§8.8.3.2). Ours contain no comma, so splitting is safe.
fn lists(condition: &str, etag: &str, comparison: Comparison) -> bool {
    condition.split(',').map(str::trim).any(|tag| {
        let tag = match comparison {
            Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
            Comparison::Strong => tag,
        };
        tag == "*" || tag == etag
    })
}

#[cfg(test)]
mod tests {
    use super::{Selection, select};
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

    const ETAG: &str = "\"abc\"";

    fn ask(method: &Method, length: u64, fields: &[(&str, &str)]) -> Selection {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        select(method, &headers, length, ETAG)
    }

    #[test]
    fn ranges() {
        use Selection::{NotSatisfiable, Part, Whole};
        for (text, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-99", Part(0..100)),
            ("bytes=0-100", Part(0..100)),
            ("bytes=10-19", Part(10..20)),
            ("bytes=10-", Part(10..100)),
            ("bytes=99-", Part(99..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-100", Part(0..100)),
            ("bytes=-1000", Part(0..100)),
            ("BYTES = 1-2", Part(1..3)),
            ("bytes=5-99999999999999999999999", Part(5..100)),
            ("bytes=-99999999999999999999999", Part(0..100)),
            ("bytes=100-", NotSatisfiable),
            ("bytes=100-200", NotSatisfiable),
            ("bytes=99999999999999999999999-", NotSatisfiable),
            ("bytes=-0", NotSatisfiable),
            ("bytes=5-2", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes", Whole),
            ("", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1-2x", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1--2", Whole),
            ("bytes=0-1,5-6", Whole),
            ("bytes=0-1,", Whole),
            ("seconds=0-1", Whole),
        ] {
            assert_eq!(ask(&Method::GET, 100, &[("range", text)]), expected, "{text}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        assert_eq!(ask(&Method::GET, 0, &[("range", "bytes=0-")]), Selection::NotSatisfiable);
        assert_eq!(ask(&Method::GET, 0, &[("range", "bytes=-5")]), Selection::NotSatisfiable);
        assert_eq!(ask(&Method::GET, 0, &[]), Selection::Whole);
    }

    #[test]
    fn only_one_field_of_a_get_counts() {
        assert_eq!(ask(&Method::HEAD, 100, &[("range", "bytes=0-1")]), Selection::Whole);
        let twice = [("range", "bytes=0-1"), ("range", "bytes=2-3")];
        assert_eq!(ask(&Method::GET, 100, &twice), Selection::Whole);
    }

    #[test]
    fn if_range_must_be_the_very_tag() {
        let range = ("range", "bytes=0-1");
        assert_eq!(ask(&Method::GET, 100, &[range, ("if-range", ETAG)]), Selection::Part(0..2));
        for other in ["\"abd\"", "W/\"abc\"", "abc", "Sat, 21 Nov 2026 09:00:00 GMT"] {
            assert_eq!(ask(&Method::GET, 100, &[range, ("if-range", other)]), Selection::Whole, "{other}");
        }
        // A range that would be refused is not looked at when the file has changed.
        let beyond = [("range", "bytes=500-"), ("if-range", "\"old\"")];
        assert_eq!(ask(&Method::GET, 100, &beyond), Selection::Whole);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = ("range", "bytes=500-");
        assert_eq!(ask(&Method::GET, 100, &[("if-none-match", ETAG), range]), Selection::NotModified);
        assert_eq!(ask(&Method::HEAD, 100, &[("if-none-match", "\"x\", W/\"abc\"")]), Selection::NotModified);
        assert_eq!(ask(&Method::GET, 100, &[("if-none-match", "*")]), Selection::NotModified);
        assert_eq!(ask(&Method::GET, 100, &[("if-none-match", "\"x\"")]), Selection::Whole);
        assert_eq!(ask(&Method::GET, 100, &[("if-match", "\"x\"")]), Selection::PreconditionFailed);
        assert_eq!(ask(&Method::GET, 100, &[("if-match", "W/\"abc\"")]), Selection::PreconditionFailed);
        assert_eq!(ask(&Method::GET, 100, &[("if-match", "\"x\", \"abc\"")]), Selection::Whole);
        assert_eq!(
            ask(&Method::GET, 100, &[("if-match", "*"), ("range", "bytes=1-1")]),
            Selection::Part(1..2)
        );
    }
}
