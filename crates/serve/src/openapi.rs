//! The OpenAPI document: collected from the handlers, compared with `docs/openapi.json` by a test.

use utoipa::OpenApi;

/// What the document says beside the operations that the router describes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tu Repe",
        description = "Records courts and replays matches. Errors are RFC 9457 problem documents: `code` is for programs, \
                       `detail` for people. Addresses in answers are signed and expire: use them as they are, ask again for new ones."
    ),
    // Routed in `server::files`, `server::live_media`, `server::pictures` and `server::covers`: the router cannot write an extension
    // behind a parameter.
    paths(
        crate::handlers::get_download,
        crate::handlers::get_media,
        crate::handlers::get_init,
        crate::handlers::get_live_file,
        crate::handlers::get_live_flv,
        crate::handlers::get_frame,
        crate::handlers::get_cover
    ),
    tags(
        (name = "clubs", description = "Clubs, courts and start times"),
        (name = "replays", description = "Matches"),
        (name = "live", description = "What is being broadcast, behind addresses from the club's profile"),
        (name = "media", description = "Playlists, files and pictures behind signed addresses; covers"),
        (name = "access", description = "Links and codes: shown by visitors, handed out by those who run the server"),
        (name = "operations", description = "For those who run the server")
    )
)]
pub(crate) struct Document;

/// The OpenAPI document as pretty-printed JSON with a final newline: exactly the text of `docs/openapi.json`.
///
/// # Errors
///
/// When the document cannot be serialised, which no input can cause.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&crate::server::document())?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    /// Where the snapshot stands, from this crate's folder.
    const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

    /// Set this variable to write the snapshot instead of comparing it.
    const UPDATE: &str = "TUREPE_UPDATE_OPENAPI";

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the snapshot is a real file of this repository")]
    fn the_snapshot_is_the_document() {
        let document = super::openapi_json().unwrap();
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(SNAPSHOT, &document).unwrap();
        }
        let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
        assert!(
            snapshot == document,
            "docs/openapi.json is stale: run {UPDATE}=1 cargo test -p turepe-serve openapi, then generate the UI's client"
        );
    }
}
