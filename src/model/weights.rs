//! Tensors → matrices and vectors on a machine, streamed: read some rows, repack them, hand them over, drop them.
//!
//! No tensor is ever whole in host memory. The same stream feeds the self-test, which computes on the CPU what the device will compute.
//! q, k and v become one matrix, gate and up another; where their layouts differ, pieces do (`plan::WeightSpec`).

use super::{ModelError, arch::Blueprint};
use crate::{
    Result,
    plan::{Machine, Norm, Piece, VectorId, WeightSpec, builder::Matrix},
    quant::{self, Layout, Planes},
    source::{Checkpoint, TensorInfo},
};
use std::ops::Range;

/// Bytes of a file that are read and repacked at once.
const READ_BYTES: u64 = 1 << 20;
/// Bytes handed to the machine before it is waited for.
const FLUSH_BYTES: u64 = 16 << 20;

/// Everything a decoder reads but its caches.
#[derive(Debug)]
pub struct Weights {
    /// `[vocab_size, hidden_size]`
    pub embedding: Matrix,
    /// One for each layer.
    pub blocks: Vec<BlockWeights>,
    /// Before the head.
    pub final_norm: Norm,
    /// `[vocab_size, hidden_size]`; the embedding again if tied.
    pub head: Matrix,
    /// Where each matrix came from, by `WeightId`.
    pub(super) streams: Vec<MatrixStream>,
    /// Every vector, by `VectorId`; zeros until they are streamed.
    pub(super) vectors: Vec<Vec<f32>>,
    /// Where each vector comes from, by `VectorId`: tensors one after the other.
    sources: Vec<Vec<TensorInfo>>,
}

impl Weights {
    /// Packed bytes that one decoding step reads, whatever the number of drafts: every matrix but an embedding that is not the head.
    pub fn bytes_per_step(&self) -> u64 {
        let read = |(id, _): &(usize, &MatrixStream)| *id != self.embedding.id.0 || self.embedding == self.head;
        self.streams.iter().enumerate().filter(read).map(|(_, stream)| packed_bytes(&stream.spec)).sum()
    }

    /// Multiply-adds of the matrices for one prompt token (`head` false: all but the head) or one decoding step of one draft.
    pub fn multiply_adds(&self, head: bool) -> u64 {
        let used = |(id, _): &(usize, &MatrixStream)| match *id {
            id if id == self.head.id.0 => head,
            id => id != self.embedding.id.0,
        };
        let of = |spec: &WeightSpec| u64::from(spec.rows) * u64::from(spec.cols) * if spec.gated { 2 } else { 1 };
        self.streams.iter().enumerate().filter(used).map(|(_, stream)| of(&stream.spec)).sum()
    }
}

/// Bytes of a matrix's planes.
fn packed_bytes(spec: &WeightSpec) -> u64 {
    let plane_rows = if spec.gated { 2 } else { 1 };
    let words = |layout: Layout| u64::from(layout.code_words(spec.cols) + layout.scale_words(spec.cols));
    spec.pieces.iter().map(|p| 4 * plane_rows * p.rows.len() as u64 * words(p.layout)).sum()
}

/// The weights of one block.
#[derive(Debug)]
#[allow(missing_docs, reason = "each field is named after its use in the block")]
pub struct BlockWeights {
    pub attn_norm: Norm,
    pub qkv: Matrix,
    pub qkv_bias: Option<VectorId>,
    pub o: Matrix,
    pub o_bias: Option<VectorId>,
    pub ffn_norm: Norm,
    pub gate_up: Matrix,
    pub down: Matrix,
}

/// A matrix as it lies in the file: which rows of which tensors make its planes.
#[derive(Clone, Debug)]
pub(super) struct MatrixStream {
    pub spec: WeightSpec,
    segments: Vec<Segment>,
}

/// Rows of one tensor that become plane rows of one piece.
#[derive(Clone, Debug)]
struct Segment {
    tensor: TensorInfo,
    rows: Range<u32>,
    piece: usize,
    plane_row: u32,
}

impl MatrixStream {
    /// Reads the matrix in row ranges and gives each to `sink(piece, first plane row, planes)`, which says whether to go on reading.
    pub async fn each(&self, checkpoint: &Checkpoint, mut sink: impl AsyncFnMut(usize, u32, Planes) -> Result<()>) -> Result<()> {
        let cols = self.spec.cols;
        for segment in &self.segments {
            let step = (READ_BYTES / segment.tensor.row_bytes().max(1)).max(1) as u32;
            for start in segment.rows.clone().step_by(step as usize) {
                let end = segment.rows.end.min(start + step);
                let bytes = checkpoint.read_rows(&segment.tensor, u64::from(start)..u64::from(end)).await?;
                let dtype = segment.tensor.dtype;
                let mut planes = quant::repack(dtype, &bytes, end - start, cols);
                drop(bytes);
                let layout = self.spec.pieces[segment.piece].layout;
                if Layout::of(dtype) != layout {
                    planes = quant::planes_to_f32(Layout::of(dtype), &planes, end - start, cols);
                }
                sink(segment.piece, segment.plane_row + start - segment.rows.start, planes).await?;
            }
        }
        Ok(())
    }

    /// One row of an ungated matrix, alone.
    pub async fn row(&self, checkpoint: &Checkpoint, row: u32) -> Result<(Layout, Planes)> {
        let piece = self.spec.pieces.iter().position(|p| p.rows.contains(&row)).expect("the row is in the matrix");
        let plane_row = row - self.spec.pieces[piece].rows.start;
        let holds = |s: &&Segment| s.piece == piece && (s.plane_row..s.plane_row + s.rows.len() as u32).contains(&plane_row);
        let segment = self.segments.iter().find(holds).expect("segments cover their piece");
        let row = u64::from(segment.rows.start + plane_row - segment.plane_row);
        let bytes = checkpoint.read_rows(&segment.tensor, row..row + 1).await?;
        Ok((self.spec.pieces[piece].layout, quant::repack(segment.tensor.dtype, &bytes, 1, self.spec.cols)))
    }

    fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.tensor.row_bytes() * s.rows.len() as u64).sum()
    }
}

/// Checks that every weight of the model is there, and reserves its place on the machine; values come by [`Weights::stream`].
///
/// # Errors
/// If a tensor is missing or of another shape, or the machine has no room.
pub fn reserve(checkpoint: &Checkpoint, blueprint: &Blueprint, machine: &mut dyn Machine) -> Result<Weights> {
    let mut binder = Binder { checkpoint, machine, streams: Vec::new(), vectors: Vec::new(), sources: Vec::new() };
    let mut weights = binder.bind(blueprint)?;
    (weights.streams, weights.vectors, weights.sources) = (binder.streams, binder.vectors, binder.sources);
    Ok(weights)
}

impl Weights {
    /// Reads, repacks and hands over every weight, in the order of the file, which may still be on its way; `progress(done, total)` counts
    /// file bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn stream(&mut self, checkpoint: &Checkpoint, machine: &mut dyn Machine, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let total = self.streams.iter().map(MatrixStream::file_bytes).sum();
        let (mut done, mut unflushed) = (0, 0);
        progress(0, total);
        let mut in_order: Vec<(usize, &MatrixStream)> = self.streams.iter().enumerate().collect();
        in_order.sort_by_key(|(_, stream)| stream.segments.iter().map(|s| (s.tensor.file, s.tensor.range.start)).max());
        for (id, stream) in in_order {
            let plane_rows: u64 = stream.segments.iter().map(|s| s.rows.len() as u64).sum();
            let row_bytes = stream.file_bytes() / plane_rows.max(1);
            stream
                .each(checkpoint, async |piece, row, planes| {
                    machine.write_weight(crate::plan::WeightId(id), piece, row, &planes);
                    let bytes = 4 * (planes.codes.len() + planes.scales.len()) as u64;
                    let rows = planes.codes.len() as u64 / u64::from(stream.spec.pieces[piece].layout.code_words(stream.spec.cols)).max(1);
                    drop(planes);
                    (done, unflushed) = (done + rows * row_bytes, unflushed + bytes);
                    if unflushed >= FLUSH_BYTES {
                        machine.flush().await?;
                        unflushed = 0;
                    }
                    progress(done.min(total), total);
                    Ok(())
                })
                .await?;
        }
        for (id, (values, tensors)) in self.vectors.iter_mut().zip(&self.sources).enumerate() {
            values.clear();
            for tensor in tensors {
                values.extend(quant::widen(tensor.dtype, &checkpoint.read_rows(tensor, 0..1).await?)?);
            }
            machine.write_vector(VectorId(id), values);
        }
        machine.flush().await?;
        progress(total, total);
        Ok(())
    }
}

/// Finds the tensors, checks their shapes, and reserves their places on the machine.
struct Binder<'a> {
    checkpoint: &'a Checkpoint,
    machine: &'a mut dyn Machine,
    streams: Vec<MatrixStream>,
    vectors: Vec<Vec<f32>>,
    sources: Vec<Vec<TensorInfo>>,
}

impl Binder<'_> {
    fn bind(&mut self, blueprint: &Blueprint) -> Result<Weights> {
        let (c, names) = (&blueprint.config, &blueprint.names);
        let embedding = self.matrix("embedding", &[(names.embedding.to_string(), c.vocab_size)], c.hidden_size)?;
        let mut blocks = Vec::new();
        for layer in 0..c.num_hidden_layers {
            blocks.push(self.block(blueprint, layer)?);
        }
        let final_norm = self.norm(names.final_norm, c.hidden_size, c.rms_norm_eps)?;
        let head = match c.tie_word_embeddings {
            true => embedding,
            false => self.matrix("head", &[(names.head.to_string(), c.vocab_size)], c.hidden_size)?,
        };
        Ok(Weights { embedding, blocks, final_norm, head, streams: Vec::new(), vectors: Vec::new(), sources: Vec::new() })
    }

    fn block(&mut self, blueprint: &Blueprint, layer: u32) -> Result<BlockWeights> {
        let (c, names) = (&blueprint.config, &blueprint.names);
        let name = |part: &str| names.of_block(layer, part);
        let (queries, keys) = (c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim);
        let qkv_parts = [(name(names.q), queries), (name(names.k), keys), (name(names.v), keys)];
        Ok(BlockWeights {
            attn_norm: self.norm(&name(names.attn_norm), c.hidden_size, c.rms_norm_eps)?,
            qkv: self.matrix(&format!("layer {layer} qkv"), &qkv_parts, c.hidden_size)?,
            qkv_bias: if c.attention_bias { Some(self.bias(&qkv_parts)?) } else { None },
            o: self.matrix(&format!("layer {layer} o"), &[(name(names.o), c.hidden_size)], queries)?,
            o_bias: match c.attention_output_bias {
                true => Some(self.bias(&[(name(names.o), c.hidden_size)])?),
                false => None,
            },
            ffn_norm: self.norm(&name(names.ffn_norm), c.hidden_size, c.rms_norm_eps)?,
            gate_up: self.gated(
                &format!("layer {layer} gate_up"),
                [name(names.gate), name(names.up)],
                c.intermediate_size,
                c.hidden_size,
            )?,
            down: self.matrix(&format!("layer {layer} down"), &[(name(names.down), c.hidden_size)], c.intermediate_size)?,
        })
    }

    /// Tensors of `(name, rows)` one below the other; neighbours of one layout share a piece.
    fn matrix(&mut self, name: &str, parts: &[(String, u32)], cols: u32) -> Result<Matrix> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut segments = Vec::new();
        let mut row = 0;
        for (tensor_name, rows) in parts {
            let tensor = self.tensor(tensor_name, *rows, cols)?;
            let layout = Layout::of(tensor.dtype);
            let most = self.most_rows(layout, cols);
            let mut taken = 0;
            while taken < *rows {
                let room = pieces.last().filter(|p| p.layout == layout).map_or(0, |p| most - (p.rows.end - p.rows.start));
                if room == 0 {
                    pieces.push(Piece { layout, rows: row..row });
                    continue;
                }
                let count = room.min(rows - taken);
                let piece = pieces.len() - 1;
                let plane_row = row - pieces[piece].rows.start;
                segments.push(Segment { tensor: tensor.clone(), rows: taken..taken + count, piece, plane_row });
                (row, taken) = (row + count, taken + count);
                pieces[piece].rows.end = row;
            }
        }
        self.reserve(WeightSpec { name: name.to_string(), rows: row, cols, gated: false, pieces }, segments)
    }

    /// Gate and up: each piece holds its gate rows, then its up rows.
    fn gated(&mut self, name: &str, tensors: [String; 2], rows: u32, cols: u32) -> Result<Matrix> {
        let [gate, up] = [self.tensor(&tensors[0], rows, cols)?, self.tensor(&tensors[1], rows, cols)?];
        let layout = match Layout::of(gate.dtype) {
            layout if layout == Layout::of(up.dtype) => layout,
            _ => Layout::F32,
        };
        let most = (self.most_rows(layout, cols) / 2).max(1);
        let (mut pieces, mut segments) = (Vec::new(), Vec::new());
        for start in (0..rows).step_by(most as usize) {
            let range = start..rows.min(start + most);
            let piece = pieces.len();
            segments.push(Segment { tensor: gate.clone(), rows: range.clone(), piece, plane_row: 0 });
            segments.push(Segment { tensor: up.clone(), rows: range.clone(), piece, plane_row: range.len() as u32 });
            pieces.push(Piece { layout, rows: range });
        }
        self.reserve(WeightSpec { name: name.to_string(), rows, cols, gated: true, pieces }, segments)
    }

    fn reserve(&mut self, spec: WeightSpec, segments: Vec<Segment>) -> Result<Matrix> {
        let id = self.machine.add_weight(&spec)?;
        assert!(id.0 == self.streams.len(), "machines number weights in the order they are added");
        let matrix = Matrix { id, rows: spec.rows, cols: spec.cols };
        self.streams.push(MatrixStream { spec, segments });
        Ok(matrix)
    }

    fn norm(&mut self, name: &str, width: u32, eps: f32) -> Result<Norm> {
        Ok(Norm { gain: self.vector(&[(name.to_string(), width)])?, eps })
    }

    /// The biases that belong to matrices of `(name, rows)`, one after the other.
    fn bias(&mut self, parts: &[(String, u32)]) -> Result<VectorId> {
        let biases: Vec<_> = parts.iter().map(|(name, rows)| (name.replace(".weight", ".bias"), *rows)).collect();
        self.vector(&biases)
    }

    /// Vectors of `(name, width)` one after the other.
    fn vector(&mut self, parts: &[(String, u32)]) -> Result<VectorId> {
        let find = |(name, width): &(String, u32)| self.find(name, &[u64::from(*width)]).cloned();
        let tensors = parts.iter().map(find).collect::<Result<Vec<_>>>()?;
        let values = vec![0.0; parts.iter().map(|(_, width)| *width as usize).sum()];
        let id = self.machine.add_vector(&values)?;
        assert!(id.0 == self.vectors.len(), "machines number vectors in the order they are added");
        self.vectors.push(values);
        self.sources.push(tensors);
        Ok(id)
    }

    fn tensor(&self, name: &str, rows: u32, cols: u32) -> Result<TensorInfo> {
        Ok(self.find(name, &[u64::from(rows), u64::from(cols)])?.clone())
    }

    fn find(&self, name: &str, expected: &[u64]) -> Result<&TensorInfo> {
        let Some(tensor) = self.checkpoint.find(name)? else {
            return Err(ModelError::MissingTensor { name: name.to_string(), expected: expected.to_vec() }.into());
        };
        if tensor.shape != expected {
            let found = tensor.shape.clone();
            return Err(ModelError::Shape { name: name.to_string(), expected: expected.to_vec(), found }.into());
        }
        Ok(tensor)
    }

    /// Rows of a layout that fit one binding.
    fn most_rows(&self, layout: Layout, cols: u32) -> u32 {
        let row_bytes = 4 * u64::from(layout.code_words(cols).max(layout.scale_words(cols)));
        u32::try_from(self.machine.max_piece_bytes() / row_bytes.max(1)).unwrap_or(u32::MAX).max(1)
    }
}
