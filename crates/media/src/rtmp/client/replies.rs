//! The steps of a publication, each on the server's answer to the one before.

use super::event::ClientEvent;
use super::session::{ClientSession, Phase};
use crate::amf0::Value;
use crate::rtmp::command::Command;
use crate::rtmp::control;

/// Transaction ids: one command of each kind, so they can be constant.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;

/// `CanEncode` and `CanForward` of E-RTMP v2 would say more than is asked; forwarding is what a publisher of files does.
const CAN_FORWARD: f64 = 4.0;

/// Longest text of a server that goes into an event, in characters.
const MAX_DESCRIPTION_CHARS: usize = 300;

impl ClientSession {
    pub(super) fn request_connect(&mut self) {
        let map = |codes: &[&str]| {
            Value::Object(codes.iter().map(|code| ((*code).to_owned(), Value::Number(CAN_FORWARD))).collect())
        };
        let list = ["hvc1", "avc1", "mp4a"].map(Value::string).to_vec();
        let object = Value::object([
            ("app", Value::string(self.config.app.as_str())),
            ("type", Value::string("nonprivate")),
            ("flashVer", Value::string(self.config.flash_ver.as_str())),
            ("tcUrl", Value::string(self.config.tc_url.as_str())),
            ("fpad", Value::Boolean(false)),
            ("capabilities", Value::Number(15.0)),
            ("objectEncoding", Value::Number(0.0)),
            ("fourCcList", Value::StrictArray(list)),
            ("videoFourCcInfoMap", map(&["hvc1", "avc1"])),
            ("audioFourCcInfoMap", map(&["mp4a"])),
            ("capsEx", Value::Number(0.0)),
        ]);
        self.send_command("connect", CONNECT, vec![object]);
    }

    pub(super) fn reply(&mut self, command: &Command) {
        match command.name.as_str() {
            "_result" => self.result(command),
            "_error" => self.error(command),
            "onStatus" => self.status(command),
            // Servers without a status object of their own say it like this (llnw, FMS).
            "close" => self.end("NetConnection.Connect.Closed", ""),
            _ => {}
        }
    }

    fn result(&mut self, command: &Command) {
        if self.phase == Phase::Connecting && command.transaction == CONNECT {
            control::send_chunk_size(&mut self.writer, &mut self.out, self.config.chunk_size);
            let name = Value::string(self.config.key.expose());
            self.send_command("releaseStream", RELEASE_STREAM, vec![Value::Null, name.clone()]);
            self.send_command("FCPublish", FC_PUBLISH, vec![Value::Null, name]);
            self.send_command("createStream", CREATE_STREAM, vec![Value::Null]);
            self.phase = Phase::Creating;
        } else if self.phase == Phase::Creating && command.transaction == CREATE_STREAM {
            // A number between 0 and 2^32 in every server seen; the cast saturates for the rest.
            self.stream_id = command.number(1).unwrap_or(1.0) as u32;
            let name = Value::string(self.config.key.expose());
            let publish = Command::new("publish", PUBLISH, vec![Value::Null, name, Value::string("live")]);
            let chunk_stream = crate::rtmp::command::STATUS_CHUNK_STREAM;
            publish.send(&mut self.writer, &mut self.out, chunk_stream, self.stream_id);
            self.phase = Phase::Publishing;
        }
    }

    /// `releaseStream` and `FCPublish` may fail: many servers do not know them.
    fn error(&mut self, command: &Command) {
        if [CONNECT, CREATE_STREAM, PUBLISH].contains(&command.transaction) {
            let (_, code, description) = information(command);
            self.end(&code, &description);
        }
    }

    fn status(&mut self, command: &Command) {
        let (level, code, description) = information(command);
        if code == "NetStream.Publish.Start" {
            if self.phase == Phase::Publishing {
                self.phase = Phase::Ready;
                self.events.push_back(ClientEvent::Ready);
            }
            return;
        }
        let is_end = matches!(
            code.as_str(),
            "NetConnection.Connect.Closed"
                | "NetStream.Unpublish.Success"
                | "NetConnection.Connect.ReconnectRequest"
        );
        if level == "error" || is_end {
            self.end(&code, &description);
        }
    }

    fn end(&mut self, code: &str, description: &str) {
        let clean = |text: &str| -> String {
            let text = self.config.key.redact(text);
            text.chars().filter(|c| !c.is_control()).take(MAX_DESCRIPTION_CHARS).collect()
        };
        let (code, description) = (clean(code), clean(description));
        self.events.push_back(match self.phase {
            Phase::Ready => ClientEvent::Closed { code, description },
            _ => ClientEvent::Rejected { code, description },
        });
        self.phase = Phase::Closing;
    }
}

/// Level, code and description of the first information object among the arguments.
fn information(command: &Command) -> (String, String, String) {
    let object = command.arguments.iter().find(|value| value.get("code").is_some());
    let text = |name| object.and_then(|object| object.get(name)?.as_str()).unwrap_or_default().to_owned();
    (text("level"), text("code"), text("description"))
}
