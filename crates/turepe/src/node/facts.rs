//! What monitoring asks of this node.

use ingest::Connections;
use live::Live;
use serve::{ClientFacts, MonitorSource, StreamFacts};

/// The hubs and the connections.
pub(super) struct NodeFacts {
    pub(super) live: Live,
    pub(super) connections: Connections,
}

impl MonitorSource for NodeFacts {
    fn clients(&self) -> Vec<ClientFacts> {
        let all = self.connections.all().into_iter();
        let busy = all.filter_map(|connection| {
            Some(ClientFacts {
                id: connection.id,
                peer: connection.peer,
                channel_id: connection.channel_id?,
                is_publisher: true,
                since_us: connection.since_us,
                received_bytes: connection.received_bytes,
                sent_bytes: connection.sent_bytes,
            })
        });
        busy.collect()
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
        self.connections.len()
    }

    fn drop_client(&self, id: u64) -> bool {
        self.connections.drop_connection(id)
    }
}
