//! PostgREST's language, without a socket: addresses of rows, what an answer means, what a key is.
//!
//! Source: PostgREST's documentation of version 13 (tables and views, preferences, errors) and Supabase's of its keys.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use uuid::Uuid;

use crate::condition::{Condition, Seen};
use crate::error::{TableError, from_sqlstate, shortened};
use crate::identifier::Identifier;

/// A query string. Names are [`Identifier`]s; values are percent-encoded down to RFC 3986 §2.3's unreserved characters.
#[derive(Default)]
pub(super) struct Query(String);

impl Query {
    /// `name=value`.
    pub(super) fn pair(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
        self
    }

    /// `column=eq.value`: all that follows `eq.` is the value, whatever stands in it.
    pub(super) fn equals(self, column: &Identifier, value: &str) -> Self {
        self.pair(column.as_str(), &format!("eq.{value}"))
    }

    /// `column=in.("a","b")`: inside the list quotes and backslashes are escaped.
    pub(super) fn one_of(self, column: &Identifier, values: impl Iterator<Item = String>) -> Self {
        let quoted: Vec<String> =
            values.map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))).collect();
        self.pair(column.as_str(), &format!("in.({})", quoted.join(",")))
    }

    pub(super) fn ids(self, column: &Identifier, ids: &[Uuid]) -> Self {
        self.one_of(column, ids.iter().map(Uuid::to_string))
    }

    /// The `modified` that a write is bound to.
    pub(super) fn condition(self, modified: Option<&Identifier>, condition: &Condition) -> Self {
        match (modified, condition) {
            (Some(column), Condition::Ours(stamps)) => {
                self.one_of(column, stamps.iter().map(|us| super::rfc3339(*us)))
            }
            (Some(column), Condition::Unchanged(Seen(Some(text)))) => self.equals(column, text),
            (Some(column), Condition::Unchanged(Seen(None))) => self.pair(column.as_str(), "is.null"),
            _ => self,
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// `Content-Range` of a write: how many rows were changed. `*/*` is none (RFC 9110 §14.4 as PostgREST uses it).
pub(super) fn changed_rows(content_range: &str) -> Option<u64> {
    let (range, _) = content_range.split_once('/')?;
    if range == "*" {
        return Some(0);
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

/// The body of an error.
#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// An answer that is no success.
pub(super) enum Refusal {
    /// The server does not know a preference that was asked for with `handling=strict`: it is older than PostgREST 13.
    UnknownPreference,
    /// Anything else.
    Error(TableError),
}

/// What an error status and its body mean.
pub(super) fn refusal(status: u16, body: &[u8], table: &dyn std::fmt::Display) -> Refusal {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let (code, said) = (body.code.unwrap_or_default(), body.message.unwrap_or_default());
    let error = match code.as_str() {
        "PGRST122" => return Refusal::UnknownPreference,
        "PGRST124" => TableError::TooManyRows,
        "PGRST204" => TableError::MissingColumn(shortened(&said)),
        "PGRST205" | "PGRST106" => TableError::MissingTable(table.to_string()),
        "PGRST301" | "PGRST302" | "PGRST303" if said.to_ascii_lowercase().contains("expired") => {
            TableError::ExpiredKey
        }
        "PGRST301" | "PGRST302" | "PGRST303" => TableError::WrongKey(code),
        "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003" => {
            TableError::Unavailable(format!("its database does not answer, {code}"))
        }
        // safeupdate's refusal: it cannot happen to us, as every write names its rows.
        "21000" => TableError::Refused("an update without a filter, 21000".to_owned()),
        code if code.starts_with("PGRST") => TableError::Refused(code.to_owned()),
        code if code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            from_sqlstate(code, &said, table)
        }
        // No PostgREST spoke: Supabase's gateway, or something in between.
        _ => match status {
            401 | 403 if said.to_ascii_lowercase().contains("expired") => TableError::ExpiredKey,
            401 | 403 => TableError::WrongKey(format!("HTTP {status}")),
            408 | 429 | 500..=599 => TableError::Unavailable(format!("HTTP {status}")),
            _ => TableError::Answer(format!("HTTP {status}")),
        },
    };
    Refusal::Error(error)
}

/// What kind of key it is. The key itself is elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum KeyFamily {
    /// `sb_publishable_…`: for browsers, everybody may have it.
    Publishable,
    /// `sb_secret_…`: for servers.
    Secret,
    /// A JWT with its role and when it expires, seconds since 1970.
    Jwt { role: String, expires_s: Option<i64> },
    /// Neither.
    Other,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    exp: Option<i64>,
}

impl KeyFamily {
    pub(super) fn of(key: &str) -> Self {
        if key.starts_with("sb_publishable_") {
            return Self::Publishable;
        }
        if key.starts_with("sb_") {
            return Self::Secret;
        }
        let mut parts = key.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::Other;
        };
        let claims = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok();
        let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
        match claims {
            Some(Claims { role, exp }) => {
                Self::Jwt { role: shortened(&role.unwrap_or_default()), expires_s: exp }
            }
            None => Self::Other,
        }
    }

    /// Whether it goes into `Authorization` too. The new keys are no JWTs: PostgREST would refuse them there.
    pub(super) fn is_bearer(&self) -> bool {
        matches!(self, Self::Jwt { .. } | Self::Other)
    }

    /// Whether it is meant for the public.
    pub(super) fn is_public(&self) -> bool {
        match self {
            Self::Publishable => true,
            Self::Jwt { role, .. } => role == "anon",
            Self::Secret | Self::Other => false,
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Publishable => "a publishable key (sb_publishable_…)".to_owned(),
            Self::Secret => "a secret key (sb_secret_…)".to_owned(),
            Self::Jwt { role, .. } if role.is_empty() => "a JWT without a role".to_owned(),
            Self::Jwt { role, .. } => format!("a JWT of the role `{role}`"),
            Self::Other => "neither a key of Supabase nor a JWT".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column() -> Identifier {
        "stream_id".parse().unwrap()
    }

    #[test]
    fn hostile_values_stay_values() {
        for (value, encoded) in [
            ("cancha1", "stream_id=eq.cancha1"),
            ("a&id=eq.1", "stream_id=eq.a%26id%3Deq.1"),
            ("a\",b)(.", "stream_id=eq.a%22%2Cb%29%28."),
            ("50% +1#?", "stream_id=eq.50%25%20%2B1%23%3F"),
            ("ñ😀", "stream_id=eq.%C3%B1%F0%9F%98%80"),
        ] {
            assert_eq!(Query::default().equals(&column(), value).finish(), encoded);
        }
        let list = Query::default().one_of(&column(), ["a\"\\,b".to_owned(), "c".to_owned()].into_iter());
        assert_eq!(list.finish(), "stream_id=in.%28%22a%5C%22%5C%5C%2Cb%22%2C%22c%22%29");
    }

    #[test]
    fn changed_rows_are_read_from_content_range() {
        for (header, rows) in [
            ("*/*", Some(0)),
            ("0-0/*", Some(1)),
            ("0-4/5", Some(5)),
            ("", None),
            ("x-1/*", None),
            ("3-1/*", None),
        ] {
            assert_eq!(changed_rows(header), rows, "{header}");
        }
    }

    #[test]
    fn every_error_is_told_apart() {
        let of = |status, body: &str| match refusal(status, body.as_bytes(), &"t") {
            Refusal::UnknownPreference => panic!("a preference"),
            Refusal::Error(error) => error,
        };
        let with =
            |code: &str, message: &str| format!(r#"{{"code":"{code}","message":"{message}","hint":null}}"#);
        let denied = with("42501", "permission denied for table t");
        assert_eq!(of(401, &denied), TableError::PermissionDenied("42501".into()));
        assert_eq!(
            of(403, &with("42501", "new row violates row-level security policy")),
            TableError::RowSecurity
        );
        assert_eq!(of(404, &with("42P01", "")), TableError::MissingTable("t".into()));
        assert_eq!(of(404, &with("PGRST205", "")), TableError::MissingTable("t".into()));
        assert!(matches!(of(400, &with("PGRST204", "no column x")), TableError::MissingColumn(_)));
        assert!(matches!(of(400, &with("42703", "no column x")), TableError::MissingColumn(_)));
        assert_eq!(of(400, &with("PGRST124", "")), TableError::TooManyRows);
        assert_eq!(of(401, &with("PGRST303", "JWT expired")), TableError::ExpiredKey);
        assert_eq!(of(401, &with("PGRST301", "JWT expired")), TableError::ExpiredKey);
        assert!(matches!(of(401, &with("PGRST301", "JWSInvalidSignature")), TableError::WrongKey(_)));
        assert!(matches!(of(401, r#"{"message":"Invalid API key"}"#), TableError::WrongKey(_)));
        assert!(matches!(of(409, &with("23505", "")), TableError::Conflict(_)));
        assert!(of(503, &with("PGRST000", "")).is_temporary());
        assert!(of(503, &with("53300", "")).is_temporary());
        assert!(of(502, "<html>Bad gateway").is_temporary());
        assert!(of(429, "").is_temporary());
        assert!(matches!(of(404, "<html>"), TableError::Answer(_)));
        assert!(matches!(of(301, ""), TableError::Answer(_)));
        let body = with("PGRST122", "Invalid preferences given with handling=strict");
        assert!(matches!(refusal(400, body.as_bytes(), &"t"), Refusal::UnknownPreference));
    }

    #[test]
    fn key_families() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(KeyFamily::of("sb_publishable_x"), KeyFamily::Publishable);
        assert_eq!(KeyFamily::of("sb_secret_x"), KeyFamily::Secret);
        let anon = KeyFamily::of(&jwt(r#"{"role":"anon","exp":5}"#));
        assert_eq!(anon, KeyFamily::Jwt { role: "anon".into(), expires_s: Some(5) });
        assert!(anon.is_public() && anon.is_bearer());
        assert!(!KeyFamily::of(&jwt(r#"{"role":"service_role"}"#)).is_public());
        assert!(!KeyFamily::of("sb_secret_x").is_bearer());
        for odd in ["", "a.b", "a.b.c", "a.b.c.d", "password"] {
            assert_eq!(KeyFamily::of(odd), KeyFamily::Other, "{odd}");
        }
    }
}
