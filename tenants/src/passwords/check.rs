//! One check: whom a user and a password could prove, and the work that it takes to tell.
//!
//! The work is that of the tenant's most laborious user, whether the user exists or not: what is missing is made up for by work
//! that proves nothing. What a peer can see, it knows already: whether its user is a MAC.

use std::sync::Arc;

use provost_core::PasswordProof;

use super::argon::{Cost, Costs};
use super::ha1::{Algorithm, Ha1};
use super::keyed::tag;
use super::memo::Memo;
use super::stored::Stored;

/// A check that is to be made.
#[derive(Debug)]
pub struct Check {
    user: Vec<u8>,
    realm: Arc<str>,
    candidates: Vec<(PasswordProof, Stored)>,
    /// As many are compared in a Digest.
    width: usize,
    feigned: Vec<Cost>,
}

impl Check {
    /// `costs` are to be paid and `width` candidates to be compared whoever the user is.
    pub(crate) fn new(
        user: &[u8],
        realm: &Arc<str>,
        candidates: Vec<(PasswordProof, Stored)>,
        width: usize,
        costs: &Costs,
    ) -> Self {
        let held = |cost: Cost| candidates.iter().filter(move |(_, stored)| cost_of(stored) == Some(cost)).count();
        let feigned = costs.iter().flat_map(|(cost, count)| vec![*cost; count.saturating_sub(held(*cost))]).collect();
        Self { user: user.to_vec(), realm: Arc::clone(realm), candidates, width, feigned }
    }

    /// What can be told at once: all of it, where no password has a form that takes time, or where it was right before.
    pub fn quick(&self, password: &[u8], memo: &Memo) -> Option<PasswordProof> {
        let shown = Ha1::of(&self.user, &self.realm, password);
        let mut proven = None;
        for (proof, stored) in &self.candidates {
            let is_right = match stored {
                Stored::Ha1(ha1) => ha1.is(&shown),
                Stored::Argon2(slow) => memo.holds(&slow.tag(password)),
            };
            if is_right {
                proven = Some(proof.clone());
            }
        }
        let is_all = !self.candidates.iter().any(|(_, stored)| cost_of(stored).is_some()) && self.feigned.is_empty();
        proven.or(is_all.then_some(PasswordProof::Wrong))
    }

    /// What is left where [`Check::quick`] cannot tell. It blocks, for tens of milliseconds or more.
    pub fn slow(&self, password: &[u8], memo: &Memo) -> PasswordProof {
        let mut proven = None;
        for (proof, stored) in &self.candidates {
            match stored {
                Stored::Argon2(slow) if slow.proves(password) => {
                    memo.keep(slow.tag(password));
                    proven = Some(proof.clone());
                }
                Stored::Argon2(_) | Stored::Ha1(_) => {}
            }
        }
        self.feigned.iter().for_each(|cost| cost.feign(password));
        proven.unwrap_or(PasswordProof::Wrong)
    }

    /// What a Digest is compared with, one after the other: H(A1) in hex, and what it would prove. Some of them are nobody's.
    pub fn digests(&self, algorithm: Algorithm) -> Vec<(Option<&PasswordProof>, String)> {
        // Nobody knows the key that it is made with, so that nobody can answer for it.
        let nobody = algorithm.hex(&[&tag(&[b"nobody's H(A1)", &self.user])]);
        let known = |(_, stored): &(PasswordProof, Stored)| match stored {
            Stored::Ha1(ha1) => ha1.hex(algorithm),
            Stored::Argon2(_) => None,
        };
        let mut digests: Vec<_> = self
            .candidates
            .iter()
            .map(|candidate| match known(candidate) {
                Some(ha1) => (Some(&candidate.0), ha1),
                None => (None, nobody.clone()),
            })
            .collect();
        digests.resize(self.width.max(digests.len()), (None, nobody));
        digests
    }

    /// Whether one of the user's passwords stands in a form that answers no Digest of this algorithm. It is for the record alone: no peer
    /// is to be told.
    pub fn lacks(&self, algorithm: Algorithm) -> bool {
        self.candidates.iter().any(|(_, stored)| !stored.can_digest(algorithm))
    }

    /// What it costs.
    #[cfg(test)]
    pub(crate) fn work(&self) -> Costs {
        let mut work = Costs::new();
        for cost in self.candidates.iter().filter_map(|(_, stored)| cost_of(stored)).chain(self.feigned.clone()) {
            match work.iter_mut().find(|(other, _)| *other == cost) {
                Some((_, count)) => *count += 1,
                None => work.push((cost, 1)),
            }
        }
        work.sort_unstable();
        work
    }

    /// The user, as it was sent; a MAC in lower case.
    pub fn user(&self) -> &[u8] {
        &self.user
    }
}

fn cost_of(stored: &Stored) -> Option<Cost> {
    match stored {
        Stored::Argon2(slow) => Some(slow.cost()),
        Stored::Ha1(_) => None,
    }
}

/// The costs of passwords of which one user has these: adds up to what the most laborious user takes.
pub(crate) fn raise(costs: &mut Costs, of_user: &[Stored]) {
    let mut own = Costs::new();
    for cost in of_user.iter().filter_map(cost_of) {
        match own.iter_mut().find(|(other, _)| *other == cost) {
            Some((_, count)) => *count += 1,
            None => own.push((cost, 1)),
        }
    }
    for (cost, count) in own {
        match costs.iter_mut().find(|(other, _)| *other == cost) {
            Some((_, most)) => *most = count.max(*most),
            None => costs.push((cost, count)),
        }
    }
}
