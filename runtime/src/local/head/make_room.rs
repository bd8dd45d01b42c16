//! Eviction on the head: objects are moved to disk when memory runs short, and brought back.
//!
//! ```text
//!   Room(units) ─▶ free already? ─▶ the oldest without readers go to disk, until it is ─▶ Done
//!                                └▶ nothing more can go ─▶ wait, for something to be freed ─▶ Done │ too long: Refused, with sizes
//! ```

use super::Head;
use crate::abi::Fault;
use crate::protocol::{ClientId, ObjectId, Request, ToClient};
use crate::store::{Body, Candidate, Flags, Run, Seats, Space, ticks};
use crate::sync::Ordering;
use std::time::{Duration, Instant};

/// How often requests for room are checked. A process that frees something does not know that it is waited for.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// How many of the largest objects a refusal names.
const NAMED: usize = 3;

/// A client's request that waits for room.
#[derive(Debug)]
pub(super) struct Room {
    client: ClientId,
    req: Request,
    units: u32,
    bytes: u64,
    /// The object on disk that is to come back there; without one, the client takes the room itself.
    restores: Option<ObjectId>,
    deadline: Instant,
}

/// Why an object was not brought back.
enum NotBack {
    /// There is no room for so many bytes.
    Full(u64),
    Fault(Box<Fault>),
}

impl Head {
    /// Handles a client's request for a free run of units.
    pub(super) fn want_room(&mut self, client: ClientId, req: Request, units: u32, bytes: u64) {
        let deadline = Instant::now() + self.settings.config.store_wait();
        self.rooms.push(Room { client, req, units, bytes, restores: None, deadline });
        self.serve_rooms();
    }

    fn show_rooms(&self) {
        self.segment.header().rooms.store(self.rooms.len() as u32, Ordering::Release);
    }

    /// Drops one request for room of a client, or all.
    pub(super) fn forget_room(&mut self, client: ClientId, req: Option<Request>) {
        self.rooms.retain(|room| room.client != client || req.is_some_and(|req| req != room.req));
        self.show_rooms();
    }

    /// Whether a request for room waits.
    pub(super) fn rooms_wait(&self) -> bool {
        !self.rooms.is_empty()
    }

    /// Answers the requests for which there is room now, and refuses those that have waited too long.
    pub(super) fn serve_rooms(&mut self) {
        for room in std::mem::take(&mut self.rooms) {
            let never = room.units > self.segment.units();
            let answer = if let Some(id) = room.restores.filter(|_| !never) {
                match self.try_restore(id) {
                    Ok(()) => ToClient::Done { req: room.req },
                    Err(NotBack::Full(_)) if Instant::now() < room.deadline => {
                        self.rooms.push(room);
                        continue;
                    }
                    Err(NotBack::Full(bytes)) => ToClient::Refused { req: room.req, fault: self.store_full(bytes) },
                    Err(NotBack::Fault(fault)) => ToClient::Refused { req: room.req, fault: *fault },
                }
            } else if !never && self.make_room(room.units) {
                ToClient::Done { req: room.req }
            } else if never || Instant::now() >= room.deadline {
                ToClient::Refused { req: room.req, fault: self.store_full(room.bytes) }
            } else {
                self.rooms.push(room);
                continue;
            };
            self.send(room.client, &answer);
        }
        self.show_rooms();
    }

    /// Frees a run of so many units, if that is possible.
    fn make_room(&mut self, units: u32) -> bool {
        if self.segment.longest_free_run() >= units {
            return true;
        }
        if units > self.segment.units() {
            // No eviction would help.
            return false;
        }
        self.leases.close_lease();
        self.segment.take_empty_leases(self.leases.seat);
        if self.unaudited {
            self.audit();
        }
        if self.segment.longest_free_run() >= units {
            return true;
        }
        while let Some(candidate) = self.eviction.next(&self.segment) {
            let home = self.segment.slot(candidate.id.slot()).home.load(Ordering::Relaxed);
            if let Err(error) = self.spill_one(candidate) {
                self.disk_trouble = Some(format!("{}: {error}", self.spill.folder().display()));
                return false;
            }
            // Only the end of a lease can make a run longer; most small objects end none.
            if self.segment.is_free(home) && self.segment.longest_free_run() >= units {
                return true;
            }
        }
        false
    }

    fn spill_one(&mut self, candidate: Candidate) -> std::io::Result<()> {
        let (Candidate { id, offset, len }, began) = (candidate, ticks());
        let checksum = self.arena.checksum(offset, len).ok_or(std::io::ErrorKind::InvalidInput)?;
        let position = self.spill.write(len, checksum, |file, at| self.arena.save(offset, len, file, at))?;
        self.tell_spill_folder();
        self.disk_trouble = None;
        if !self.segment.move_bytes(id, Body::Spilled { offset: position, len }, None) {
            // A process reads it, or it is gone.
            self.spill.forget(position, len);
        }
        self.note_disk_move(id, len, false, began);
        // A process that released the object in this moment found it dying, and left it to the head.
        self.collect(vec![id]);
        Ok(())
    }

    /// Handles a client's request to bring an object's bytes back into the arena.
    pub(super) fn restore(&mut self, client: ClientId, req: Request, id: ObjectId) {
        let answer = match self.try_restore(id) {
            Ok(()) => ToClient::Done { req },
            Err(NotBack::Full(bytes)) => {
                // Drafts, or the leases of a process that has just died, may be in the way, so the request waits like a `put`.
                let units = u32::try_from(bytes.div_ceil(self.segment.unit_bytes().max(1))).unwrap_or(u32::MAX);
                let deadline = Instant::now() + self.settings.config.store_wait();
                self.rooms.push(Room { client, req, units, bytes, restores: Some(id), deadline });
                return self.show_rooms();
            }
            Err(NotBack::Fault(fault)) => ToClient::Refused { req, fault: *fault },
        };
        self.send(client, &answer);
    }

    fn try_restore(&mut self, id: ObjectId) -> Result<(), NotBack> {
        if !self.segment.exists(id) {
            return Err(NotBack::Fault(Fault::Unknown { id: id.0 }.into()));
        }
        // The client refers to the object, the head does not. If the object is freed meanwhile, its bytes cannot be moved any more; they
        // stay on disk until the head hears of that.
        let restored = self.copy_and_move_back(id);
        // A process that released the object in this moment found it dying, and left it to the head.
        self.collect(vec![id]);
        restored
    }

    fn copy_and_move_back(&mut self, id: ObjectId) -> Result<(), NotBack> {
        // Also while the object is dying: the client waits for that itself, and asks again. The head must not wait, because the process
        // that frees may be dead, and the head has to find that out.
        let Some(Body::Spilled { offset: position, len }) = self.segment.body_now(id) else { return Ok(()) };
        let unit_bytes = self.segment.unit_bytes().max(1);
        let space = match self.leases.space(len) {
            Ok(space) => space,
            Err(_) => {
                let units = u32::try_from(len.div_ceil(unit_bytes)).unwrap_or(u32::MAX);
                self.make_room(units);
                self.leases.space(len).map_err(|_| NotBack::Full(len))?
            }
        };
        let began = ticks();
        let copied = self.copy_back(position, len, space);
        self.note_disk_move(id, len, true, began);
        let moved =
            copied.is_ok() && self.segment.move_bytes(id, Body::Arena { offset: space.offset, len }, Some(space));
        if moved {
            self.spill.forget(position, len);
            self.eviction.brought_back(&self.segment, id);
        } else {
            self.segment.leave(self.leases.seat, space.home);
        }
        if let Err(error) = copied {
            // The client looks again, and finds a task or a failure.
            self.lose(id, (position, len), &error);
        }
        Ok(())
    }

    fn copy_back(&mut self, position: u64, len: u64, space: Space) -> std::io::Result<()> {
        if let Some(run) = space.fresh {
            self.unlock(run)?;
        }
        self.spill.read(position, |file, at| self.arena.load(space.offset, len, file, at))?;
        if self.arena.checksum(space.offset, len) != self.spill.checksum(position) {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "they are not those that were written"));
        }
        Ok(())
    }

    fn unlock(&self, run: Run) -> std::io::Result<()> {
        self.segment.unlock(&self.arena, run)
    }

    /// The fault for a full store: its size, what is in it, and the largest objects.
    fn store_full(&self, needed: u64) -> Fault {
        let limit = self.region.len();
        let (mut objects, mut used, mut read) = (0_u64, 0_u64, 0_u64);
        let mut largest: Vec<(u64, u32)> = Vec::new();
        for index in 1..self.segment.slots_used() {
            let slot = self.segment.slot(index);
            let word = slot.word();
            if !word.flags().contains(Flags::ARENA) {
                continue;
            }
            let len = slot.len.load(Ordering::Relaxed);
            used += len;
            if !word.is_sealed() {
                continue;
            }
            objects += 1;
            if !slot.pins.is_empty() {
                read += len;
            }
            let place = largest.partition_point(|(other, _)| *other >= len);
            if place < NAMED {
                largest.insert(place, (len, index));
                largest.truncate(NAMED);
            }
        }
        let names = largest.into_iter().map(|(len, index)| self.holders(len, index)).collect::<Vec<_>>().join(", ");
        let mut detail = format!("{objects} objects are in memory, {read} bytes of them are being read");
        if !names.is_empty() {
            detail += &format!("; the largest: {names}");
        }
        if self.spill.bytes() > 0 {
            detail += &format!("; {} bytes are on disk, in {}", self.spill.bytes(), self.spill.folder().display());
        }
        if let Some(trouble) = &self.disk_trouble {
            detail += &format!("; no more objects can go to disk: {trouble}");
        }
        Fault::StoreFull { needed, used, limit, detail }
    }
    /// An object with its size and the processes that have it.
    fn holders(&self, len: u64, index: u32) -> String {
        let slot = self.segment.slot(index);
        let by = |seats: &Seats| {
            let pids = seats.iter().map(|seat| self.segment.desk(seat).pid.load(Ordering::Relaxed).to_string());
            pids.collect::<Vec<_>>().join(", ")
        };
        let how = if slot.pins.is_empty() {
            format!("referred to by {}", by(&slot.refs))
        } else {
            format!("read by {}", by(&slot.pins))
        };
        format!("{} ({len} bytes, {how})", ObjectId::new(index, slot.word().generation()))
    }
}
