//! x = table[token] for one row.

use crate::cpu::unpack::PlanesView;

/// Unpacks row `token` of the view into `x: [stride]`.
///
/// # Panics
/// If the token is not in view.
pub fn embed(table: &PlanesView, token: usize, x: &mut [f32]) {
    assert!(token < table.num_rows(), "token {token} of {}", table.num_rows());
    table.unpack_row(token, x);
}
