//! What a client session tells its driver.

/// How the publication goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientEvent {
    /// The server takes media now.
    Ready,
    /// The server refused; the session wants to be closed. The texts are the server's, with the key taken out.
    Rejected {
        /// For example `NetStream.Publish.BadName`.
        code: String,
        /// What the server says of it, maybe empty.
        description: String,
    },
    /// The server ended a publication that it had accepted; the session wants to be closed.
    Closed {
        /// For example `NetConnection.Connect.Closed`.
        code: String,
        /// What the server says of it, maybe empty.
        description: String,
    },
}
