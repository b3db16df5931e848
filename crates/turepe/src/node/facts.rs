//! What monitoring asks of this node.

use ingest::{ConnectionStatus, Connections, Role};
use live::Live;
use serve::{ClientFacts, ClientKind, FlvPlayers, MonitorSource, StreamFacts};

/// The hubs and the connections.
pub(super) struct NodeFacts {
    pub(super) live: Live,
    pub(super) connections: Connections,
    pub(super) flv_players: FlvPlayers,
}

/// A connection as it is listed, once it has said what it wants.
fn client(connection: ConnectionStatus) -> Option<ClientFacts> {
    let (kind, channel_id) = match connection.role? {
        Role::Publishes(channel_id) => (ClientKind::Publisher, channel_id),
        Role::Plays(channel_id) => (ClientKind::RtmpPlayer, channel_id),
    };
    Some(ClientFacts {
        id: connection.id,
        peer: connection.peer,
        channel_id,
        kind,
        since_us: connection.since_us,
        received_bytes: connection.received_bytes,
        sent_bytes: connection.sent_bytes,
    })
}

impl MonitorSource for NodeFacts {
    fn clients(&self) -> Vec<ClientFacts> {
        let by_rtmp = self.connections.all().into_iter().filter_map(client);
        by_rtmp.chain(self.flv_players.all()).collect()
    }

    fn streams(&self) -> Vec<StreamFacts> {
        let all = self.live.channels().into_iter();
        let streams = all.map(|status| StreamFacts {
            channel_id: status.channel_id,
            is_live: status.is_live,
            frames: status.frames,
            bytes: status.bytes,
            config: self.live.config(status.channel_id),
        });
        streams.collect()
    }

    fn connections(&self) -> usize {
        self.connections.len() + self.flv_players.len()
    }

    fn drop_client(&self, id: u64) -> bool {
        self.connections.drop_connection(id) || self.flv_players.drop_player(id)
    }
}
