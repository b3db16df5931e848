//! The SRS node whose list of streams is asked for, where there is one.

use super::{Finding, Patient};

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config.srs.config(patient.config.rtmp.listen);
    let Some(server) = config.server else { return Vec::new() };
    let mut found = Vec::new();
    if patient.config.srs.is_closed() {
        found.push(Finding::bad(
            "SRS's callbacks are closed: every publisher of SRS is turned away",
            "set `srs.secret` (`openssl rand -hex 24` makes one), and print SRS's configuration again: turepe srs-conf",
        ));
    }
    found.push(match server.count_streams().await {
        Ok(streams) => Finding::good(format!("SRS at {} answers, streams: {streams}", server.authority)),
        Err(error) => Finding::bad(
            format!("SRS at {} cannot be asked for its streams: {error}", server.authority),
            format!(
                "curl -i http://{}/api/v1/versions   (see that it runs, and `srs.server`)",
                server.authority
            ),
        ),
    });
    found
}
