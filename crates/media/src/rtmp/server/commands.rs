//! What is done on each command (RTMP §7.2, and what FMLE-like publishers add).

use super::event::ServerEvent;
use super::session::{Phase, ServerSession};
use crate::amf0::Value;
use crate::rtmp::command::Command;
use crate::rtmp::error::RtmpError;
use crate::rtmp::key::StreamKey;
use crate::rtmp::limits::{MAX_MESSAGE_STREAMS, MAX_NAME_BYTES};
use crate::rtmp::message::Message;

/// Longest text of a peer that goes into an event for logs, in characters.
const MAX_LOGGED_CHARS: usize = 200;

impl ServerSession {
    pub(super) fn command(&mut self, message: &Message) -> Result<(), RtmpError> {
        let command = Command::parse(message.type_id, &message.payload)?;
        if self.phase == Phase::Fresh {
            return match command.name.as_str() {
                "connect" => self.connect(&command),
                _ => Err(RtmpError::Command { command: "connect", lacks: "must be the first command" }),
            };
        }
        match command.name.as_str() {
            "createStream" => self.create_stream(&command),
            "releaseStream" => self.reply_result(&command, Value::Undefined),
            "FCPublish" => {
                self.has_fc_publish = true;
                self.reply_result(&command, Value::Undefined);
            }
            "publish" => return self.publish(&command, message.stream_id),
            "FCUnpublish" => {
                self.unpublish();
                self.reply_result(&command, Value::Undefined);
            }
            "deleteStream" => {
                // Without a number the one publication is meant.
                let stream = command.number(1).unwrap_or(f64::from(self.publish_stream));
                if stream == f64::from(self.publish_stream) {
                    self.unpublish();
                }
            }
            "closeStream" => self.unpublish(),
            "play" => return self.play(&command, message.stream_id),
            // Asked before `play`: a live stream has no length. FFmpeg gives up when it is refused.
            "getStreamLength" => self.reply_result(&command, Value::Number(0.0)),
            "FCSubscribe" => self.reply_result(&command, Value::Undefined),
            // Results of commands that we never send, and notices that want no answer.
            "_result" | "_error" | "onStatus" => {}
            _ if command.transaction == 0.0 => {}
            _ => self.reply_unknown(&command),
        }
        Ok(())
    }

    fn connect(&mut self, command: &Command) -> Result<(), RtmpError> {
        let object = command
            .arguments
            .first()
            .filter(|value| value.properties().is_some())
            .ok_or(RtmpError::Command { command: "connect", lacks: "has no command object" })?;
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let app = text("app").split('?').next().unwrap_or_default().trim_matches('/');
        if app.len() > MAX_NAME_BYTES {
            return Err(RtmpError::Command { command: "connect", lacks: "has too long an application name" });
        }
        self.app = app.to_owned();
        self.events.push_back(ServerEvent::Connected {
            app: printable(&first_part(app)),
            tc_url: printable(&without_secrets(text("tcUrl"))),
            flash_ver: printable(text("flashVer")),
        });
        self.phase = Phase::Connected;
        self.reply_connected(command.transaction, object);
        Ok(())
    }

    fn create_stream(&mut self, command: &Command) {
        if self.message_streams >= MAX_MESSAGE_STREAMS {
            return self.reply_unknown(command);
        }
        self.message_streams += 1;
        self.reply_result(command, Value::Number(f64::from(self.message_streams)));
    }

    fn publish(&mut self, command: &Command, stream_id: u32) -> Result<(), RtmpError> {
        if self.is_publishing() || self.is_playing() {
            self.reply_bad_name_on(stream_id, "this connection publishes or plays already");
            return Ok(());
        }
        let name =
            command.text(1).ok_or(RtmpError::Command { command: "publish", lacks: "has no stream name" })?;
        if name.len() > MAX_NAME_BYTES {
            return Err(RtmpError::Command { command: "publish", lacks: "has too long a stream name" });
        }
        let mut otherwise = StreamKey::readings(&self.app, name);
        let key = otherwise.remove(0);
        // Where the whole address was typed as the server's, the key ends up in the application.
        self.events.push_back(ServerEvent::PublishRequested {
            app: printable(self.app.split('/').next().unwrap_or_default()),
            key,
            otherwise,
        });
        self.publish_stream = stream_id;
        self.phase = Phase::Deciding;
        Ok(())
    }

    fn unpublish(&mut self) {
        if self.is_publishing() {
            self.reply_unpublished();
            self.events.push_back(ServerEvent::Unpublished);
            self.end_publication();
        } else if self.is_playing() {
            self.events.push_back(ServerEvent::PlayStopped);
            self.end_publication();
        }
    }

    fn play(&mut self, command: &Command, stream_id: u32) -> Result<(), RtmpError> {
        if self.phase != Phase::Connected {
            return Ok(());
        }
        let name =
            command.text(1).ok_or(RtmpError::Command { command: "play", lacks: "has no stream name" })?;
        if name.len() > MAX_NAME_BYTES {
            return Err(RtmpError::Command { command: "play", lacks: "has too long a stream name" });
        }
        let mut otherwise = StreamKey::readings(&self.app, name);
        let name = otherwise.remove(0);
        self.events.push_back(ServerEvent::PlayRequested {
            app: printable(&first_part(&self.app)),
            name,
            otherwise,
        });
        self.publish_stream = stream_id;
        self.phase = Phase::DecidingPlay;
        Ok(())
    }
}

/// A foreign text fit for a log: short, in one line, without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_LOGGED_CHARS).collect()
}

/// An address without user, password, query and what may be a key.
fn without_secrets(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{}", first_part(path))
}

/// The first part of a path. Where somebody typed the whole address as the server's, the key stands behind it.
fn first_part(path: &str) -> String {
    path.split_once('/').map_or_else(|| path.to_owned(), |(first, _)| format!("{first}/***"))
}

#[cfg(test)]
mod tests {
    use super::{printable, without_secrets};

    #[test]
    fn secrets_and_control_characters_stay_out_of_logs() {
        assert_eq!(without_secrets("rtmp://u:p@h:1935/live?key=k"), "rtmp://h:1935/live");
        assert_eq!(without_secrets("rtmp://h/live/KEY"), "rtmp://h/live/***");
        assert_eq!(without_secrets("rtmp://h"), "rtmp://h/");
        assert_eq!(without_secrets("live?x"), "live");
        assert_eq!(printable("a\n\u{1b}[1mb"), "a[1mb");
        assert_eq!(printable(&"x".repeat(9000)).len(), 200);
    }
}
