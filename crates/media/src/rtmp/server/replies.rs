//! What a publisher is told.

use super::session::ServerSession;
use crate::amf0::Value;
use crate::rtmp::command::{COMMAND_CHUNK_STREAM, Command, STATUS_CHUNK_STREAM, information};
use crate::rtmp::control;

/// The server version that clients are told; some look at its first letters.
const SERVER_VERSION: &str = "FMS/3,5,7,7009";

/// `CanForward` of E-RTMP v2 ("Enhancing NetConnection connect Command"): carried untouched.
const CAN_FORWARD: f64 = 4.0;

/// `capsEx` of E-RTMP v2: ModEx packets are understood (and passed over).
const CAPS_MOD_EX: f64 = 4.0;

const VIDEO_FOUR_CCS: [&str; 2] = ["hvc1", "avc1"];
const AUDIO_FOUR_CCS: [&str; 1] = ["mp4a"];

impl ServerSession {
    /// Answers `connect`; `object` is what the client said of itself.
    pub(super) fn reply_connected(&mut self, transaction: f64, object: &Value) {
        let (window, chunk_size) = (self.config.window_bytes, self.config.chunk_size);
        control::send_window_ack_size(&mut self.writer, &mut self.out, window);
        control::send_peer_bandwidth(&mut self.writer, &mut self.out, window);
        control::send_chunk_size(&mut self.writer, &mut self.out, chunk_size);

        let mut properties = vec![
            ("fmsVer".to_owned(), Value::string(SERVER_VERSION)),
            ("capabilities".to_owned(), Value::Number(31.0)),
            ("mode".to_owned(), Value::Number(1.0)),
        ];
        let enhanced = enhanced_capabilities(object);
        properties.extend(enhanced.iter().cloned());
        let mut status = vec![
            ("level".to_owned(), Value::string("status")),
            ("code".to_owned(), Value::string("NetConnection.Connect.Success")),
            ("description".to_owned(), Value::string("Connection succeeded.")),
            // Whatever was asked for: AMF0 is what we speak.
            ("objectEncoding".to_owned(), Value::Number(0.0)),
        ];
        // Clients in the field look for them in either object.
        status.extend(enhanced);
        let arguments = vec![Value::Object(properties), Value::Object(status)];
        self.send(&Command::new("_result", transaction, arguments), COMMAND_CHUNK_STREAM, 0);
    }

    /// `_result` with one value; nothing where the command wants no answer (transaction 0).
    pub(super) fn reply_result(&mut self, command: &Command, value: Value) {
        if command.transaction != 0.0 {
            let reply = Command::new("_result", command.transaction, vec![Value::Null, value]);
            self.send(&reply, COMMAND_CHUNK_STREAM, 0);
        }
    }

    /// `_error` for a command that is not known or not possible.
    pub(super) fn reply_unknown(&mut self, command: &Command) {
        let status = information("error", "NetConnection.Call.Failed", "This command is not supported.");
        let reply = Command::new("_error", command.transaction, vec![Value::Null, status]);
        self.send(&reply, COMMAND_CHUNK_STREAM, 0);
    }

    /// The publication may begin. Who sent `FCPublish` waits for its notice too (FMLE, hardware encoders).
    pub(super) fn reply_publish_started(&mut self) {
        let (code, text) = ("NetStream.Publish.Start", "Publishing.");
        let stream = self.publish_stream;
        let begin = control::UserControl::StreamBegin(stream);
        control::send_user_control(&mut self.writer, &mut self.out, begin);
        if self.has_fc_publish {
            let notice =
                Command::new("onFCPublish", 0.0, vec![Value::Null, information("status", code, text)]);
            self.send(&notice, COMMAND_CHUNK_STREAM, 0);
        }
        self.status(stream, "status", code, text);
    }

    /// The publication has ended.
    pub(super) fn reply_unpublished(&mut self) {
        let (code, text) = ("NetStream.Unpublish.Success", "Publishing ended.");
        if self.has_fc_publish {
            let notice =
                Command::new("onFCUnpublish", 0.0, vec![Value::Null, information("status", code, text)]);
            self.send(&notice, COMMAND_CHUNK_STREAM, 0);
        }
        self.status(self.publish_stream, "status", code, text);
    }

    /// The key is not accepted.
    pub(super) fn reply_bad_name(&mut self, description: &str) {
        self.reply_bad_name_on(self.publish_stream, description);
    }

    pub(super) fn reply_bad_name_on(&mut self, stream: u32, description: &str) {
        self.status(stream, "error", "NetStream.Publish.BadName", description);
    }

    pub(super) fn reply_stream_not_found(&mut self, stream: u32) {
        self.status(stream, "error", "NetStream.Play.StreamNotFound", "No such stream.");
    }

    /// Media follows.
    pub(super) fn reply_play_started(&mut self) {
        let stream = self.publish_stream;
        let begin = control::UserControl::StreamBegin(stream);
        control::send_user_control(&mut self.writer, &mut self.out, begin);
        self.status(stream, "status", "NetStream.Play.Reset", "Playing and resetting.");
        self.status(stream, "status", "NetStream.Play.Start", "Playing.");
    }

    /// No more media follows.
    pub(super) fn reply_play_ended(&mut self) {
        let stream = self.publish_stream;
        self.status(stream, "status", "NetStream.Play.UnpublishNotify", "The stream has ended.");
        self.status(stream, "status", "NetStream.Play.Stop", "The stream has ended.");
        let end = control::UserControl::StreamEof(stream);
        control::send_user_control(&mut self.writer, &mut self.out, end);
    }

    /// We close the connection.
    pub(super) fn reply_closed(&mut self, description: &str) {
        self.status(self.publish_stream, "status", "NetConnection.Connect.Closed", description);
    }

    /// The peer did something that ends the connection.
    pub(super) fn reply_failed(&mut self, description: &str) {
        self.status(self.publish_stream, "error", "NetConnection.Connect.Closed", description);
    }

    fn status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        let status = Command::new("onStatus", 0.0, vec![Value::Null, information(level, code, description)]);
        self.send(&status, STATUS_CHUNK_STREAM, stream);
    }

    fn send(&mut self, command: &Command, chunk_stream: u32, stream: u32) {
        command.send(&mut self.writer, &mut self.out, chunk_stream, stream);
    }
}

/// What of Enhanced RTMP we take, for a client that speaks of it: `fourCcList` (v1), the maps and `capsEx` (v2). A client that
/// does not is told nothing new.
fn enhanced_capabilities(client: &Value) -> Vec<(String, Value)> {
    let mut properties = Vec::new();
    if client.get("fourCcList").is_some() {
        let list = VIDEO_FOUR_CCS.iter().chain(&AUDIO_FOUR_CCS).map(|code| Value::string(*code)).collect();
        properties.push(("fourCcList".to_owned(), Value::StrictArray(list)));
    }
    let is_v2 =
        ["videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"].iter().any(|name| client.get(name).is_some());
    if is_v2 {
        let map = |codes: &[&str]| {
            Value::Object(codes.iter().map(|code| ((*code).to_owned(), Value::Number(CAN_FORWARD))).collect())
        };
        properties.push(("videoFourCcInfoMap".to_owned(), map(&VIDEO_FOUR_CCS)));
        properties.push(("audioFourCcInfoMap".to_owned(), map(&AUDIO_FOUR_CCS)));
        properties.push(("capsEx".to_owned(), Value::Number(CAPS_MOD_EX)));
    }
    properties
}
