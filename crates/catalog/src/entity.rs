//! The tables as SeaORM entities: one module a table. Their meaning stands with the types the crate hands out; how they
//! are created, in `migration`.
#![expect(unreachable_pub, reason = "SeaORM's derives need `pub` in a private module")]

pub mod club {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "clubs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub slug: String,
        pub name: String,
        pub zone: String,
        pub created_us: i64,
        /// How long footage is kept; the node's setting where it is NULL.
        pub retention_days: Option<i32>,
        /// `open` or `signed`.
        pub live_access: String,
        /// `open`, `link` or `code`.
        pub access: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod club_schedule {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "club_schedules")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub club_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub effective_from_us: i64,
        pub hours: String,
        pub appointment_duration_min: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod court {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "courts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub club_id: Uuid,
        pub slug: String,
        pub name: String,
        pub position: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::club::Entity",
            from = "Column::ClubId",
            to = "super::club::Column::Id"
        )]
        Club,
    }

    impl Related<super::club::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Club.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod channel {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "channels")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub court_id: Option<Uuid>,
        pub name: String,
        /// `push` or `pull`.
        pub source: String,
        /// May hold a camera's password.
        pub pull_url: Option<String>,
        /// SHA-256 of the stream key in hexadecimal.
        pub key_hash: Option<String>,
        pub created_us: i64,
    }

    impl std::fmt::Debug for Model {
        /// Without address and hash.
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("channel::Model").field("id", &self.id).finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::court::Entity",
            from = "Column::CourtId",
            to = "super::court::Column::Id"
        )]
        Court,
    }

    impl Related<super::court::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Court.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod segment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub channel_id: Uuid,
        pub session_id: Uuid,
        pub start_us: i64,
        pub end_us: Option<i64>,
        /// `growing`, `sealed` or `stored`.
        pub state: String,
        pub size_bytes: i64,
        pub moov_offset: i64,
        pub object_name: String,
        pub init_hash: String,
        /// 0 none, 1 kept, 2 being removed.
        pub local_copy: i16,
        /// When the bucket was seen to have it.
        pub stored_us: Option<i64>,
        /// The bucket's entity tag.
        pub etag: Option<String>,
        /// CRC-32 of its fragments.
        pub crc32: Option<i64>,
        /// The node whose disk has its bytes; NULL where none has, or none has claimed them.
        pub node_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The ids of the segments that grow: a short list beside a long table, because not every engine can index only the few
/// rows of a state.
pub mod growing_segment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "growing_segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        /// As in the segment's row.
        pub node_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::segment::Entity",
            from = "Column::SegmentId",
            to = "super::segment::Column::Id"
        )]
        Segment,
    }

    impl Related<super::segment::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Segment.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The ids of the sealed segments that the bucket is to take and has not confirmed: a short list, like
/// [`growing_segment`].
pub mod unstored_segment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "unstored_segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        /// As in the segment's row.
        pub node_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::segment::Entity",
            from = "Column::SegmentId",
            to = "super::segment::Column::Id"
        )]
        Segment,
    }

    impl Related<super::segment::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Segment.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Multipart uploads that run.
pub mod upload {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "uploads")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        pub upload_id: String,
        pub part_bytes: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Parts that the bucket has taken.
pub mod upload_part {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "upload_parts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub etag: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Ranges that outlive retention.
pub mod protection {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "protections")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub channel_id: Uuid,
        pub from_us: i64,
        pub to_us: i64,
        pub reason: String,
        pub created_us: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Where else a channel goes.
pub mod relay_target {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "relay_targets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub channel_id: Uuid,
        pub name: Option<String>,
        /// Holds the target's key.
        pub url: String,
        pub created_us: i64,
    }

    impl std::fmt::Debug for Model {
        /// Without the address.
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("relay_target::Model").field("id", &self.id).finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Links that a club's staff hand out.
pub mod viewing_link {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "viewing_links")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub club_id: Uuid,
        /// NULL for all of the club's.
        pub court_id: Option<Uuid>,
        /// `all`, `range` or `live`.
        pub scope: String,
        /// With `range`; with `live`, how far back.
        pub from_us: Option<i64>,
        /// With `range`.
        pub to_us: Option<i64>,
        /// SHA-256 of the token in hexadecimal.
        pub token_hash: String,
        pub note: Option<String>,
        pub created_us: i64,
        pub expires_us: i64,
        pub revoked_us: Option<i64>,
    }

    impl std::fmt::Debug for Model {
        /// Without the hash.
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("viewing_link::Model").field("id", &self.id).finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Codes that open one match each.
pub mod slot_code {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "slot_codes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub court_id: Uuid,
        pub start_us: i64,
        pub end_us: i64,
        /// What is kept of the code, in hexadecimal.
        pub verifier: String,
        pub created_us: i64,
        pub expires_us: i64,
    }

    impl std::fmt::Debug for Model {
        /// Without the verifier.
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("slot_code::Model").field("id", &self.id).finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::court::Entity",
            from = "Column::CourtId",
            to = "super::court::Column::Id"
        )]
        Court,
    }

    impl Related<super::court::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Court.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// How often codes were tried, by address and by slot.
pub mod code_attempt {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "code_attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: String,
        pub window_from_us: i64,
        pub failures: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What was deleted, why, and whether its bytes are gone yet.
pub mod deletion {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "deletions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        pub channel_id: Uuid,
        pub start_us: i64,
        pub end_us: i64,
        pub size_bytes: i64,
        pub object_name: String,
        /// `retention`, `space` or `admin`.
        pub reason: String,
        pub was_stored: bool,
        pub requested_us: i64,
        /// NULL until store and bucket have let go of its bytes.
        pub done_us: Option<i64>,
        /// The node whose disk had its bytes.
        pub node_id: Option<Uuid>,
        /// NULL while the bucket may have all of it; with `done_us` NULL, another node than its own saw to it.
        pub bucket_us: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Beside `segments`, so that a range of those fits in few pages.
pub mod segment_index {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "segment_indexes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub segment_id: Uuid,
        pub fragments: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod init {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "inits")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub content: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod gap {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "gaps")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub channel_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub start_us: i64,
        pub end_us: Option<i64>,
        pub cause: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod setting {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "settings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub content: Vec<u8>,
    }

    impl std::fmt::Debug for Model {
        /// Without the content: it may be a secret.
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("setting::Model").field("name", &self.name).finish_non_exhaustive()
        }
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The nodes that have ever had this catalog.
pub mod node {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "nodes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        /// Another one at each start.
        pub run_id: Uuid,
        pub first_seen_us: i64,
        pub last_seen_us: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
