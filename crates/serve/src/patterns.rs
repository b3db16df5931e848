//! What parameters look like, for the OpenAPI document: one pattern for each name, wherever it stands.
//!
//! A text that does not fit its pattern is refused; one that does may be refused all the same (there is no 31st of February). The
//! reading itself stands in `query` and the handlers.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};

/// A club's or a court's (`catalog`'s `validate::slug`).
const SLUG: &str = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$";

/// A signed address, base64url (`token`).
const TOKEN: &str = "^[A-Za-z0-9_-]+$";

/// RFC 3339 §5.6, with what the calendar allows.
const INSTANT: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$";

/// By name.
const PATTERNS: &[(&str, &str)] = &[
    ("club", SLUG),
    ("court", SLUG),
    ("token", TOKEN),
    ("segment", "^[0-9a-f-]{36}$"),
    ("hash", "^[0-9a-fA-F]{1,64}$"),
    ("md5", "^[0-9a-f]{32}$"),
    // An id, or a signed address where the club wants those.
    ("channel", TOKEN),
    ("via", "^node$"),
    ("month", "^20[0-9]{2}-[0-9]{2}$|^2100-[0-9]{2}$"),
    ("date", "^20[0-9]{2}-[0-9]{2}-[0-9]{2}$|^2100-[0-9]{2}-[0-9]{2}$"),
    ("time", "^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    ("offset", "^[+-]([01][0-9]|2[0-3]):[0-5][0-9]$"),
    ("from", INSTANT),
    ("to", INSTANT),
];

/// Adds them to a document.
pub(crate) fn add(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
        all.into_iter().flatten().for_each(add_to);
    }
}

fn add_to(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if !matches!(parameter.parameter_in, ParameterIn::Path | ParameterIn::Query) {
            continue;
        }
        let pattern = PATTERNS.iter().find(|(name, _)| *name == parameter.name).map(|(_, pattern)| *pattern);
        let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema else { continue };
        // What has a format, as ids have, or is one of few words says enough by that.
        if is_text(&object.schema_type) && object.format.is_none() && object.enum_values.is_none() {
            object.pattern = object.pattern.take().or_else(|| pattern.map(str::to_owned));
        }
    }
}

fn is_text(kind: &SchemaType) -> bool {
    match kind {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

/// The texts among the parameters of a document that say nothing of what they look like.
#[cfg(test)]
fn without(document: &OpenApi) -> Vec<String> {
    let mut found = Vec::new();
    for (path, item) in &document.paths.paths {
        let all = [&item.get, &item.post, &item.put, &item.delete, &item.patch];
        for parameter in all.into_iter().flatten().flat_map(|operation| operation.parameters.iter().flatten())
        {
            let RefOr::T(parameter) = parameter else { continue };
            let Some(RefOr::T(Schema::Object(object))) = &parameter.schema else { continue };
            let is_bare = object.pattern.is_none() && object.format.is_none() && object.enum_values.is_none();
            if is_text(&object.schema_type) && is_bare {
                found.push(format!("{path}: {}", parameter.name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_says_what_it_looks_like() {
        assert_eq!(without(&crate::server::document()), [""; 0]);
    }
}
