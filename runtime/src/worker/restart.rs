//! An actor is made again: from its last checkpoint, or by its constructor, and by the calls that have changed it since.
//!
//! ```text
//!   log (store/call_log.rs) ─▶ checkpoint │ constructor ─▶ each call, oldest first, with the arguments that it had ─▶ the mailbox
//! ```
//!
//! The results of those calls are there already, and do not change: what they give now is thrown away.

use super::library::Libraries;
use super::{begin, call_of, run_call};
use crate::abi::{Instance, Pending, View};
use crate::client::{Claimed, Client, Unfit, for_call};
use crate::store::TaskKind;

/// Makes an actor that was made before.
pub(super) fn make_again(
    client: &Client,
    libraries: &mut Libraries,
    creation: &Claimed,
    views: &mut Vec<View>,
    instance: &mut Instance,
) -> Result<(), Unfit> {
    let TaskKind::Creation { mailbox } = creation.spec.kind else { return Ok(()) };
    let log = client.log_of(mailbox);
    let first = log.checkpoint.map_or_else(|| creation.clone(), |checkpoint| creation.restoring(checkpoint));
    let entry = begin(client, libraries, &first, views).map_err(|unfit| match unfit {
        Unfit::Carry(_) if log.checkpoint.is_some() => Unfit::Refused("its checkpoint is lost".into()),
        unfit => unfit,
    })?;
    let mut pending = Pending::NONE;
    let mut call = call_of(&first, views, instance, &mut pending);
    call.is_restore = u32::from(log.checkpoint.is_some());
    entry.call(&call);
    entry.flush();
    if instance.type_id == 0 {
        // It has failed, and said why.
        return Ok(());
    }
    for task in log.calls {
        let logged = client.logged_call(task);
        let entry = begin(client, libraries, &logged, views).map_err(|unfit| match unfit {
            Unfit::Carry(_) => Unfit::Refused("an argument of a call since its last checkpoint is lost".into()),
            Unfit::Refused(message) => {
                Unfit::Refused(format!("a call since its last checkpoint cannot be run again: {message}"))
            }
        })?;
        for_call(task, || run_call(&entry, &logged, views, instance, &mut pending));
        client.end_replayed(&logged);
    }
    Ok(())
}
