//! A certificate authority of one day, and a certificate of it for this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The files of a server that speaks TLS.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes them with the program `openssl`.
pub(crate) fn make(folder: &Path) -> Result<Certificates> {
    let file = |name: &str| folder.join(name).display().to_string();
    let openssl = |arguments: &str| {
        let arguments = arguments.replace('@', &format!("{}/", folder.display()));
        let output = Command::new("openssl").args(arguments.split_whitespace()).output()?;
        if !output.status.success() {
            bail!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=authority \
         -keyout @ca.key -out @ca.pem",
    )?;
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -keyout @server.key -out @server.csr",
    )?;
    openssl(
        "x509 -req -in @server.csr -CA @ca.pem -CAkey @ca.key -CAcreateserial -days 1 -copy_extensions copy \
         -out @server.pem",
    )?;
    Ok(Certificates {
        authority: file("ca.pem").into(),
        certificate: file("server.pem").into(),
        key: file("server.key").into(),
    })
}
