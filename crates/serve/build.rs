//! Embeds the user interface, or a page that says it was not built: a fresh clone builds without Node.

#![expect(clippy::disallowed_methods, reason = "a build script works on the real disk")]

use std::{env, error::Error, fs, path::PathBuf};

const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Tu Repe</title></head>
<body>
<h1>Tu Repe</h1>
<p>This program was built without its user interface. Build it with <code>npm ci &amp;&amp; npm run build</code> in
<code>web/</code>, then build the program again. The API works: <a href=\"/openapi.json\">/openapi.json</a>.</p>
</body>
</html>
";

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let built = web.join("dist");
    if built.join("index.html").is_file() {
        memory_serve::load_directory_with_embed(built, true);
        return Ok(());
    }
    let stand_in = PathBuf::from(env::var("OUT_DIR")?).join("not-built");
    fs::create_dir_all(&stand_in)?;
    fs::write(stand_in.join("index.html"), NOT_BUILT)?;
    memory_serve::load_directory_with_embed(stand_in, true);
    // Look again when anything there changes: a folder that does not exist yet cannot be watched by itself.
    println!("cargo::rerun-if-changed={}", web.display());
    Ok(())
}
