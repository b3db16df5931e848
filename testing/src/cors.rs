//! What S3 does for browsers: the bucket's CORS rules, applied to preflights and answers. `s3s` leaves it to others.

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{self, HeaderValue},
};
use s3s::{Body, dto::CORSRule};

/// What a browser says of the page that asks.
pub(crate) struct Asked {
    origin: String,
    /// The method that is meant: a preflight asks for another one.
    method: String,
    /// Headers that a preflight asks for.
    headers: Vec<String>,
    is_preflight: bool,
}

impl Asked {
    /// `None` where no page asks.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let text = |name: header::HeaderName| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let origin = text(header::ORIGIN)?;
        let wanted = text(header::ACCESS_CONTROL_REQUEST_METHOD);
        let is_preflight = request.method() == Method::OPTIONS && wanted.is_some();
        let headers = text(header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let headers = headers.split(',').map(|name| name.trim().to_ascii_lowercase());
        Some(Self {
            origin,
            method: wanted.filter(|_| is_preflight).unwrap_or_else(|| request.method().to_string()),
            headers: headers.filter(|name| !name.is_empty()).collect(),
            is_preflight,
        })
    }

    /// The answer to a preflight; `None` to anything else.
    pub(crate) fn preflight(&self, rules: &[CORSRule]) -> Option<Response<Body>> {
        if !self.is_preflight {
            return None;
        }
        let mut response = Response::new(Body::empty());
        if self.rule(rules).is_some() {
            self.allow(rules, response.headers_mut());
        } else {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        Some(response)
    }

    /// Adds to an answer what lets the page read it, refusals among them; nothing where no rule allows it.
    pub(crate) fn allow(&self, rules: &[CORSRule], out: &mut HeaderMap) {
        let Some(rule) = self.rule(rules) else { return };
        let mut set = |name: header::HeaderName, text: &str| {
            out.insert(name, HeaderValue::from_str(text).unwrap());
        };
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
        set(header::VARY, "Origin");
        set(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            &rule.expose_headers.clone().unwrap_or_default().join(", "),
        );
        if self.is_preflight {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods.join(", "));
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
    }

    /// The first rule that fits, as S3 looks for it.
    fn rule<'a>(&self, rules: &'a [CORSRule]) -> Option<&'a CORSRule> {
        rules.iter().find(|rule| {
            let allowed = rule.allowed_headers.clone().unwrap_or_default();
            rule.allowed_origins.iter().any(|pattern| fits(pattern, &self.origin))
                && rule.allowed_methods.contains(&self.method)
                && self
                    .headers
                    .iter()
                    .all(|name| allowed.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), name)))
        })
    }
}

/// A pattern may have one `*`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str) -> CORSRule {
        CORSRule {
            allowed_headers: Some(vec!["range".into()]),
            allowed_methods: vec!["GET".into(), "HEAD".into()],
            allowed_origins: vec![origin.into()],
            expose_headers: Some(vec!["content-range".into()]),
            id: None,
            max_age_seconds: None,
        }
    }

    fn asked(method: &str, origin: &str, headers: &[(&str, &str)]) -> Asked {
        let mut request = Request::builder().method(method).uri("/b/k").header("origin", origin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Asked::of(&request.body(()).unwrap()).unwrap()
    }

    #[test]
    fn only_what_a_rule_names_may_be_read() {
        let rules = [rule("https://*.club.example"), rule("http://localhost:8080")];
        for (origin, is_allowed) in [
            ("http://localhost:8080", true),
            ("https://video.club.example", true),
            ("https://club.example", false),
            ("http://localhost:8081", false),
        ] {
            let mut headers = HeaderMap::new();
            asked("GET", origin, &[]).allow(&rules, &mut headers);
            assert_eq!(headers.contains_key("access-control-allow-origin"), is_allowed, "{origin}");
            let wanted =
                [("access-control-request-method", "GET"), ("access-control-request-headers", "Range")];
            let preflight = asked("OPTIONS", origin, &wanted).preflight(&rules).unwrap();
            assert_eq!(preflight.status() == 200, is_allowed, "{origin}");
        }
        let post = [("access-control-request-method", "POST")];
        assert_eq!(asked("OPTIONS", "http://localhost:8080", &post).preflight(&rules).unwrap().status(), 403);
        assert!(asked("GET", "http://localhost:8080", &[]).preflight(&rules).is_none());
        assert!(Asked::of(&Request::new(())).is_none());
    }
}
