//! Kernel and parts → one WGSL text → a pipeline, cached by the text.
//!
//! A kernel is a file under `shaders/`; what changes types or array sizes in it comes from parts and from constants put in front. WGSL
//! does not care about the order of declarations, so composing is joining. Dimensions are uniforms: each text is one pipeline, and a
//! heavy pipeline costs 0.2 to 0.8 s on software adapters.

use super::device::{Variant, describe};
use crate::plan::MachineError;
use crate::quant::Layout;
use std::collections::HashMap;

/// A kernel with its constants and parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// The kernel's name.
    pub kernel: &'static str,
    /// `const` declarations put in front.
    pub constants: Vec<(&'static str, u32)>,
    /// Names of parts.
    pub parts: Vec<&'static str>,
}

/// Kernels and parts by name, as build.rs finds them.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

fn file(name: &str) -> &'static str {
    FILES.iter().find(|(file, _)| *file == name).expect("every kernel and part that this module names is a file").1
}

/// Which part decodes a layout.
fn weights(layout: Layout) -> &'static str {
    match layout {
        Layout::F32 => "weights_f32",
        Layout::F16 => "weights_f16",
        Layout::BF16 => "weights_bf16",
        Layout::I8 { .. } => "weights_i8",
        Layout::I4 => "weights_i4",
        Layout::I4M => "weights_i4m",
    }
}

/// The layouts with a part of their own.
const LAYOUTS: [Layout; 6] = [Layout::F32, Layout::F16, Layout::BF16, Layout::I8 { group: 32 }, Layout::I4, Layout::I4M];

impl Shader {
    /// The whole text.
    pub fn text(&self) -> String {
        let constants = self.constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n"));
        let files = std::iter::once(self.kernel).chain(self.parts.iter().copied()).map(|name| file(name).to_string());
        constants.chain(files).collect()
    }

    /// Kernel and parts, for messages.
    pub fn name(&self) -> String {
        let constants = self.constants.iter().map(|(name, value)| format!(" {name}={value}"));
        let parts = self.parts.iter().map(|part| format!(" +{part}"));
        std::iter::once(self.kernel.to_string()).chain(constants).chain(parts).collect()
    }

    /// Every shader that any plan can ask for.
    pub fn all() -> Vec<Shader> {
        let variants =
            [Variant::Threads, Variant::Lanes, Variant::LanesWide, Variant::Subgroups, Variant::SubgroupsWide, Variant::LanesUnfused];
        let mut all = vec![norm(), rope(), stream()];
        all.extend(LAYOUTS.map(embed));
        for variant in variants {
            all.extend([attention(variant), attention_rows(), attention_join(), select(variant), sample(variant)]);
            for layout in LAYOUTS {
                for rows in [1, 2, 4, 8, 16] {
                    let tile = tile_rows(variant, rows);
                    all.extend([true, false].map(|normed| linear(variant, layout, tile, normed)));
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        all.retain(|shader| seen.insert(shader.clone()));
        all
    }
}

/// Threads of a workgroup in `embed` and `rope`.
pub(super) const WORKGROUP: u32 = 64;
/// Threads of a workgroup where a thread has a whole row or head: few, so that they spread over cores.
pub(super) const ROWS_WORKGROUP: u32 = 8;

pub(super) fn embed(layout: Layout) -> Shader {
    Shader { kernel: "embed", constants: vec![("WORKGROUP", WORKGROUP)], parts: vec!["row", weights(layout)] }
}

pub(super) fn norm() -> Shader {
    Shader { kernel: "norm", constants: vec![("WORKGROUP", ROWS_WORKGROUP)], parts: vec!["row"] }
}

/// Rows of a tile of `matmul`.
pub(super) const MATMUL_ROWS: u32 = 32;
/// Pairs of weight rows of a tile of `matmul`.
const MATMUL_PAIRS: u32 = 32;

/// Rows of x that a workgroup of a matrix kernel serves at once, in a plan of so many.
pub(super) fn tile_rows(variant: Variant, rows: u32) -> u32 {
    match variant {
        // A tile of `matmul` costs as much half empty as full.
        Variant::Threads => rows.next_power_of_two().min(8),
        _ if rows >= MATMUL_ROWS / 2 => MATMUL_ROWS,
        _ => rows.next_power_of_two().min(8),
    }
}

/// Threads of a workgroup in `linear`.
fn linear_workgroup(variant: Variant) -> u32 {
    match variant {
        Variant::Threads => 32,
        Variant::Lanes | Variant::Subgroups | Variant::LanesUnfused => 64,
        Variant::LanesWide | Variant::SubgroupsWide => 128,
    }
}

/// Threads that share a pair in `linear`: fewer where rows are short, so that each reads several weights before they add up.
pub(super) fn lanes(variant: Variant, k8: u32) -> u32 {
    match variant {
        Variant::Threads => 1,
        _ => (k8 / 4).checked_ilog2().map_or(8, |log| 1 << log).clamp(8, 32),
    }
}

/// Pairs of weight rows that a workgroup of a matrix kernel serves.
pub(super) fn tile_pairs(variant: Variant, tile_rows: u32, lanes: u32) -> u32 {
    if tile_rows == MATMUL_ROWS { MATMUL_PAIRS } else { linear_workgroup(variant) / lanes }
}

/// The matrix kernel for tiles of so many rows.
pub(super) fn linear(variant: Variant, layout: Layout, tile_rows: u32, normed: bool) -> Shader {
    let norm = if normed && fuses_norm(variant) { "norm_fused" } else { "norm_before" };
    if tile_rows == MATMUL_ROWS {
        return Shader { kernel: "matmul", constants: vec![], parts: vec!["row", "product", weights(layout), norm] };
    }
    let rows_part = match tile_rows {
        1 => "rows_1",
        2 => "rows_2",
        4 => "rows_4",
        _ => "rows_8",
    };
    let collect = match variant {
        Variant::Threads => "collect_thread",
        _ if variant.uses_subgroups() => "collect_subgroups",
        _ => "collect_workgroup",
    };
    Shader {
        kernel: "linear",
        constants: vec![("WORKGROUP", linear_workgroup(variant)), ("ROWS", tile_rows)],
        parts: vec!["row", "product", weights(layout), rows_part, norm, collect],
    }
}

/// Whether a norm is part of its linear operation's dispatch.
pub(super) fn fuses_norm(variant: Variant) -> bool {
    !matches!(variant, Variant::Threads | Variant::LanesUnfused)
}

pub(super) fn rope() -> Shader {
    Shader { kernel: "rope", constants: vec![("WORKGROUP", WORKGROUP)], parts: vec!["row"] }
}

/// A workgroup for each head of each row, or a thread.
pub(super) fn attention(variant: Variant) -> Shader {
    let (kernel, workgroup) = match variant {
        Variant::Threads => ("attention_thread", ROWS_WORKGROUP),
        _ => ("attention", 256),
    };
    Shader { kernel, constants: vec![("WORKGROUP", workgroup)], parts: vec!["row"] }
}

/// Rows and elements of a head of a tile of `attention_rows`.
pub(super) const ATTENTION_TILE: (u32, u32) = (16, 64);

pub(super) fn attention_rows() -> Shader {
    Shader { kernel: "attention_rows", constants: vec![], parts: vec!["row"] }
}

pub(super) fn attention_join() -> Shader {
    Shader { kernel: "attention_join", constants: vec![("WORKGROUP", WORKGROUP)], parts: vec!["row"] }
}

pub(super) fn stream() -> Shader {
    Shader { kernel: "stream", constants: vec![("WORKGROUP", WORKGROUP)], parts: vec![] }
}

/// One workgroup reads the whole vocabulary: as large as the limits allow, or small where barriers are dear.
fn sample_threads(variant: Variant) -> u32 {
    if variant == Variant::Threads { 64 } else { 256 }
}

pub(super) fn select(variant: Variant) -> Shader {
    let constants = vec![("WORKGROUP", sample_threads(variant))];
    Shader { kernel: "select", constants, parts: vec!["row", "sampling", "key", "choice"] }
}

pub(super) fn sample(variant: Variant) -> Shader {
    let constants = vec![("WORKGROUP", sample_threads(variant))];
    Shader { kernel: "sample", constants, parts: vec!["row", "sampling", "key", "choice", "wide"] }
}

/// Pipelines by shader.
#[derive(Default)]
pub(super) struct Pipelines(HashMap<Shader, wgpu::ComputePipeline>);

impl Pipelines {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The shader's pipeline, compiled on first use.
    pub(super) async fn get(&mut self, device: &wgpu::Device, shader: &Shader) -> Result<wgpu::ComputePipeline, MachineError> {
        if let Some(pipeline) = self.0.get(shader) {
            return Ok(pipeline.clone());
        }
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(shader.kernel),
            source: wgpu::ShaderSource::Wgsl(shader.text().into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.kernel),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let (invalid, internal) = (invalid.pop(), internal.pop());
        if let Some(error) = invalid.await.or(internal.await) {
            return Err(describe("a pipeline", 0, &shader.name(), &error));
        }
        self.0.insert(shader.clone(), pipeline.clone());
        Ok(pipeline)
    }
}
