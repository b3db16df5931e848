//! That this node runs, told to the catalog: what it is called, and that it is still there. Nothing here waits for anybody: no
//! lease, no turn. What others make of it is `archive`'s `holder` (up to when a segment grows there) and `turepe admin node`.

use std::time::Duration;

use archive::limits::NODE_SIGN_MS;
use catalog::Catalog;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// Tells until it is dropped.
pub(super) async fn tell(catalog: Catalog, name: String) {
    let run_id = Uuid::now_v7();
    let mut ticks = tokio::time::interval(Duration::from_millis(NODE_SIGN_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut has_begun, mut is_failing, mut is_alone) = (false, false, true);
    loop {
        ticks.tick().await;
        let told = if has_begun {
            catalog.go_on(run_id).await
        } else {
            catalog.begin_run(&name, run_id).await.map(|()| true)
        };
        match told {
            Ok(is_last) => {
                has_begun = true;
                if std::mem::take(&mut is_failing) {
                    tracing::info!("the catalog knows again that this node runs");
                }
                if is_alone && !is_last {
                    tracing::error!(
                        node = ?catalog.node_id(),
                        "ANOTHER PROCESS RUNS AS THIS NODE, on a machine that was cloned: each takes the other's footage for its \
                         own. Stop one of them, delete its node.json, and start it again"
                    );
                }
                is_alone = is_last;
            }
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(%error, "the catalog was not told that this node runs; tried again");
            }
            Err(_) => {}
        }
    }
}
