//! `turepe srs-conf`: a configuration of SRS 6 for the set-up in force.
//!
//! Belongs here: what SRS is told. Not here: what it is answered (`serve`).

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Config, near};
use crate::failure::Failure;
use crate::output;

/// Where publishers look for SRS.
const RTMP_PORT: u16 = 1935;

/// Where tools look for SRS's HTTP API.
const API_PORT: u16 = 1985;

/// How long a file of SRS's recorder is, in seconds. Short: a file that is torn by a crash is lost to SRS.
const DVR_SECONDS: u32 = 60;

/// What stands in `srs.conf`.
struct Values {
    rtmp_port: u16,
    api_port: u16,
    hooks: String,
    forward: String,
    max_connections: u32,
    dvr_path: Option<String>,
    /// What is to be done on our side, in sentences.
    advice: Vec<String>,
}

/// Prints it.
pub(crate) fn run(config: &Config, is_json: bool) -> Result<(), Failure> {
    let values = Values::new(config);
    if is_json { output::json(&values.to_json()) } else { output::line(values.to_conf().trim_end()) }
}

impl Values {
    fn new(config: &Config) -> Self {
        let mut advice = Vec::new();
        let own_rtmp = config.rtmp.listen.port();
        let rtmp_port = if own_rtmp == RTMP_PORT {
            advice.push(format!(
                "On one machine only one of the two can have port {RTMP_PORT}, and Tu Repe has it: SRS is on {} here. To let SRS have \
                 it, set rtmp.listen = \"127.0.0.1:19350\" and print this file again.",
                RTMP_PORT + 1
            ));
            RTMP_PORT + 1
        } else {
            RTMP_PORT
        };
        let own_api = config.srs_api.listen.map(|listen| listen.port());
        let asked = config.srs.server.as_deref().and_then(|server| server.rsplit_once(':')?.1.parse().ok());
        let free = if own_api == Some(API_PORT) { API_PORT + 1 } else { API_PORT };
        let api_port = asked.unwrap_or(free);
        if config.srs.server.is_none() {
            advice.push(format!(
                "Set srs.server = \"http://127.0.0.1:{api_port}\", so that Tu Repe compares its list of streams with SRS's every minute."
            ));
        } else if own_api == Some(api_port) {
            advice.push(format!(
                "srs.server and srs_api.listen have the same port {api_port}: give one of them another."
            ));
        }
        let secret = config.srs.secret.as_str();
        if config.srs.is_closed() {
            advice.push(
                "Callbacks are closed: nobody can call yet. Set srs.secret to 12 to 128 letters and digits (`openssl rand -hex 24` makes such \
                 a secret), restart Tu Repe, and print this file again: the addresses below then have it. Where every user of this machine \
                 may ask for stream keys' targets, srs.trusted = \"127.0.0.1/32, ::1/128\" does without a secret."
                    .to_owned(),
            );
        } else if secret.is_empty() && !config.srs.trusts_loopback() {
            advice.push(
                "srs.trusted does not hold this machine and there is no srs.secret: callbacks from here are refused."
                    .to_owned(),
            );
        }
        let query = if secret.is_empty() { String::new() } else { format!("?secret={secret}") };
        let base: SocketAddr = near(config.http.listen);
        let max_connections = config.rtmp.max_connections_per_address;
        let dvr_path = config.srs.dvr_folder.as_deref().map(|folder: &Path| {
            format!("{}/{}", folder.display().to_string().trim_end_matches('/'), config.srs.dvr_path)
        });
        Self {
            rtmp_port,
            api_port,
            hooks: format!("http://{base}/srs/hooks{query}"),
            forward: format!("http://{base}/srs/forward{query}"),
            max_connections,
            dvr_path,
            advice,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "listen": self.rtmp_port,
            "maxConnections": self.max_connections,
            "httpApiListen": format!("127.0.0.1:{}", self.api_port),
            "hooks": self.hooks,
            "forwardBackend": self.forward,
            "dvrPath": self.dvr_path,
            "dvrDurationSeconds": self.dvr_path.as_ref().map(|_| DVR_SECONDS),
            "advice": self.advice,
        })
    }

    fn to_conf(&self) -> String {
        let Self { rtmp_port, api_port, hooks, forward, max_connections, .. } = self;
        let advice: String = self.advice.iter().map(|advice| format!("# ! {advice}\n")).collect();
        let (dvr_hook, dvr) = match &self.dvr_path {
            Some(path) => (
                format!("\n        on_dvr          {hooks};"),
                format!(
                    "\n    # SRS records as well, and Tu Repe takes from its files what the forward did not bring. HEVC needs SRS 6.0.185\n    \
                     # for MP4, and 6.0.162 for files that are cut at all.\n    dvr {{\n        enabled             on;\n        \
                     dvr_path            {path};\n        dvr_plan            segment;\n        dvr_duration        {DVR_SECONDS};\n        \
                     dvr_wait_keyframe   on;\n        time_jitter         full;\n    }}\n"
                ),
            ),
            None => (
                String::new(),
                "\n    # SRS need not record: Tu Repe does. To take its recordings as well, set srs.dvr_folder.\n".to_owned(),
            ),
        };
        format!(
            "# SRS 6 in front of Tu Repe: SRS takes the publishers, asks Tu Repe who may publish, and forwards each stream to it,\n\
             # where it is recorded and shown. Printed by `turepe srs-conf` from the configuration in force.\n\
             {advice}\
             listen              {rtmp_port};\n\
             # Tu Repe takes so many connections from one address (rtmp.max_connections_per_address), and SRS forwards each stream\n\
             # over one.\n\
             max_connections     {max_connections};\n\
             daemon              off;\n\
             srs_log_tank        console;\n\
             \n\
             # Tu Repe asks here for the streams, at its start and every minute. Nobody else needs it.\n\
             http_api {{\n    enabled         on;\n    listen          127.0.0.1:{api_port};\n}}\n\
             \n\
             vhost __defaultVhost__ {{\n    \
             # Tu Repe answers from memory. Stream names must not have dots: SRS takes \"a.1\" and \"a.2\" for one stream.\n    \
             http_hooks {{\n        enabled         on;\n        \
             on_publish      {hooks};\n        \
             on_unpublish    {hooks};\n        \
             on_close        {hooks};{dvr_hook}\n    }}\n\
             \n    \
             # Asked once per publication where it is sent to; must not be joined with publish.kickoff_for_idle.\n    \
             forward {{\n        enabled         on;\n        backend         {forward};\n    }}\n\
             \n    \
             publish {{\n        # An encoder may take its time to start; a publisher that is silent for longer makes room for its own\n        \
             # reconnect, which SRS refuses as busy until then.\n        firstpkt_timeout    20000;\n        normal_timeout      7000;\n    }}\n\
             {dvr}}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Values;
    use crate::config::{Config, Sources};

    fn values(flags: &[(&str, &str)]) -> Values {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Values::new(&Config::read(&Sources { flags, ..Sources::default() }).expect("valid"))
    }

    #[test]
    fn ports_of_ours_are_left_to_us() {
        let conf = values(&[]).to_conf();
        assert!(conf.contains("listen              1936;") && conf.contains("127.0.0.1:1986;"), "{conf}");
        assert!(
            conf.contains("on_publish      http://127.0.0.1:8080/srs/hooks;") && !conf.contains("on_dvr"),
            "{conf}"
        );
        let values = values(&[
            ("rtmp.listen", "127.0.0.1:19350"),
            ("srs_api.listen", ""),
            ("srs.server", "http://127.0.0.1:1985"),
            ("srs.secret", "abcdefghijkl"),
            ("srs.dvr_folder", "/data/dvr/"),
        ]);
        let conf = values.to_conf();
        assert!(values.advice.is_empty(), "{:?}", values.advice);
        for line in [
            "listen              1935;",
            "listen          127.0.0.1:1985;",
            "on_close        http://127.0.0.1:8080/srs/hooks?secret=abcdefghijkl;",
            "on_dvr          http://127.0.0.1:8080/srs/hooks?secret=abcdefghijkl;",
            "backend         http://127.0.0.1:8080/srs/forward?secret=abcdefghijkl;",
            "dvr_path            /data/dvr/[app]/[stream]/[timestamp].flv;",
        ] {
            assert!(conf.contains(line), "{line} in {conf}");
        }
        assert_eq!(conf.matches('{').count(), conf.matches('}').count());
    }
}
