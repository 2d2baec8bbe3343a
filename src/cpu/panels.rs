//! y = then(W x + bias) over packed integers: activations are rounded to 8 bits, dot products are integer (`lanes::panels`).
//!
//! The fast path of decoding on the CPU. A matrix stands in panels of eight rows instead of planes; the last panel is filled up with rows
//! whose scales are zero. A row's result is bitwise the same alone and together.

use crate::{
    cpu::{linear::Outputs, zeros},
    plan::{Activation, MachineError, Then},
    quant::{Layout, Planes},
};
use kinglet_lanes::add;
use kinglet_lanes::panels::{
    GROUP, PANEL, multiply_i4, multiply_i4m, multiply_i8, multiply_i8_fine, read_i4, read_i8, scatter, write_i4, write_i8,
};
pub use kinglet_lanes::panels::{Rounded, silu_gates};
use std::hint::black_box;
use std::ops::Range;

/// Rows of a matrix in panels.
#[derive(Clone, Debug)]
pub struct Panels {
    layout: Layout,
    cols: u32,
    /// codes: `[panels, PANEL * code_words]` u32
    codes: Vec<u32>,
    /// scales: `[panels, scale_words, PANEL]` f32
    scales: Vec<f32>,
}

/// Sums of one panel, kept between calls for their allocation.
#[derive(Clone, Debug, Default)]
pub struct PanelScratch {
    sums: Vec<[f32; PANEL]>,
    ups: Vec<[f32; PANEL]>,
}

impl Panels {
    /// Whether a layout is one of packed integers.
    pub fn take(layout: Layout) -> bool {
        matches!(layout, Layout::I8 { .. } | Layout::I4 | Layout::I4M)
    }

    /// Zeros for `rows` rows.
    ///
    /// # Errors
    /// If there is no room for them.
    ///
    /// # Panics
    /// If the layout is none of packed integers, or `cols` no multiple of 32.
    pub fn new(name: &str, layout: Layout, rows: u32, cols: u32) -> Result<Panels, MachineError> {
        assert!(Panels::take(layout) && cols.is_multiple_of(GROUP as u32), "{name}: {cols} columns of {layout:?} in panels");
        let rows = u64::from(rows).next_multiple_of(PANEL as u64);
        let codes = zeros(name, rows.saturating_mul(u64::from(layout.code_words(cols))))?;
        let scales = zeros(name, rows.saturating_mul(u64::from(layout.scale_words(cols))))?;
        Ok(Panels { layout, cols, codes, scales })
    }

    /// Words of codes and scales held.
    pub fn words(&self) -> usize {
        self.codes.len() + self.scales.len()
    }

    /// Takes rows of planes in, from row `first` on: codes `[rows, code_words]`, scales `[rows, scale_words]`.
    ///
    /// # Panics
    /// If there are more than fit.
    pub fn write(&mut self, first: usize, codes: &[u32], scales: &[f32]) {
        let (code_words, scale_words) = self.row_words();
        let rows = codes.chunks_exact(code_words).zip(scales.chunks_exact(scale_words));
        for (row, (codes, scales)) in (first..).zip(rows) {
            let (panel, lane) = (row / PANEL, row % PANEL);
            let room = &mut self.codes[panel * PANEL * code_words..][..PANEL * code_words];
            match self.layout {
                Layout::I8 { .. } => write_i8(codes, room, lane),
                _ => write_i4(codes, room, lane),
            }
            let room = &mut self.scales[panel * PANEL * scale_words..][..PANEL * scale_words];
            for (scale, place) in scales.iter().zip(room.chunks_exact_mut(PANEL)) {
                place[lane] = *scale;
            }
        }
    }

    /// Row `row` as it stood in its planes.
    ///
    /// # Panics
    /// If it does not exist.
    pub fn read(&self, row: usize, planes: &mut Planes) {
        let lane = row % PANEL;
        let (packed, scales) = self.panel(row / PANEL);
        planes.codes.resize(packed.len() / PANEL, 0);
        match self.layout {
            Layout::I8 { .. } => read_i8(packed, lane, &mut planes.codes),
            _ => read_i4(packed, lane, &mut planes.codes),
        }
        planes.scales.clear();
        planes.scales.extend(scales.chunks_exact(PANEL).map(|scales| scales[lane]));
    }

    /// Codes and scales of a panel.
    fn panel(&self, panel: usize) -> (&[u32], &[f32]) {
        let (codes, scales) = self.row_words();
        (&self.codes[panel * PANEL * codes..][..PANEL * codes], &self.scales[panel * PANEL * scales..][..PANEL * scales])
    }

    fn row_words(&self) -> (usize, usize) {
        (self.layout.code_words(self.cols) as usize, self.layout.scale_words(self.cols) as usize)
    }

    /// sums\[r\] = the eight rows of panel `panel` · row r of x
    fn multiply(&self, panel: usize, x: &Rounded, sums: &mut [[f32; PANEL]]) {
        let (codes, scales) = self.panel(panel);
        match self.layout {
            Layout::I8 { group: 16 } => multiply_i8_fine(codes, scales, x, sums),
            Layout::I8 { .. } => multiply_i8(codes, scales, x, sums),
            Layout::I4 => multiply_i4(codes, scales, x, sums),
            _ => multiply_i4m(codes, scales, x, sums),
        }
    }
}

/// About `amount` multiply-adds of the loop behind Q8_0, 32 rows of activations and a matrix that stays in the nearest cache: its own peak.
pub fn multiply_for(amount: u64) {
    const COLS: usize = 576;
    const ROWS: usize = 32;
    let mut x = Rounded::default();
    x.clear(COLS);
    (0..ROWS).for_each(|row| x.push(&[row as f32; COLS]));
    let layout = Layout::I8 { group: GROUP as u32 };
    let codes = vec![0x0102_0304; PANEL * layout.code_words(COLS as u32) as usize];
    let scales = vec![1.0; PANEL * layout.scale_words(COLS as u32) as usize];
    let mut sums = [[0.0; PANEL]; ROWS];
    for _ in 0..amount.div_ceil((PANEL * COLS * ROWS) as u64) {
        multiply_i8(black_box(&codes), black_box(&scales), &x, &mut sums);
    }
    black_box(sums);
}

/// Computes outputs `outputs` for every row of x; x row r belongs to row `active[r]` of y.
///
/// `bias: [outputs of the matrix]`, never with [`Then::Gate`], whose `up` holds as many rows as `weight`. Outputs start at a panel's first
/// row and end at its last or the matrix's.
///
/// # Panics
/// If the shapes do not fit, or a gate has a bias or no `up`.
#[allow(clippy::too_many_arguments)]
pub fn linear_panels(
    (weight, up): (&Panels, Option<&Panels>),
    outputs: Range<usize>,
    x: &Rounded,
    active: &[usize],
    bias: Option<&[f32]>,
    then: Then,
    y: &mut Outputs,
    scratch: &mut PanelScratch,
) {
    assert!(outputs.start.is_multiple_of(PANEL), "output {} is not a panel's first", outputs.start);
    assert_eq!(up.is_some(), matches!(then, Then::Gate(_)), "a gate has two matrices");
    let PanelScratch { sums, ups } = scratch;
    sums.resize(x.num_rows(), [0.0; PANEL]);
    ups.resize(x.num_rows(), [0.0; PANEL]);
    for first in outputs.clone().step_by(PANEL) {
        let panel = first / PANEL;
        let rows = PANEL.min(outputs.end - first);
        weight.multiply(panel, x, sums);
        if let Some(up) = up {
            up.multiply(panel, x, ups);
        }
        if let Some(bias) = bias {
            sums.iter_mut().for_each(|sums| add(&mut sums[..rows], &bias[first..]));
        }
        if let Then::Gate(Activation::Silu) = then {
            silu_gates(sums, ups);
        }
        scatter(sums, rows, then == Then::Add, active, y.values, y.stride, y.first + first);
    }
}
