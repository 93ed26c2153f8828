//! Rows in, parts out.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use crate::{
    Error, Manifest, Part, Plan, Row, Value,
    folder::{Folder, remove},
    format::Encoder,
    progress::{Begun, Counts, MANIFEST, PROGRESS, Progress},
    unreadable::Problems,
};

/// What to do with an export that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and say so.
    Refuse,
    /// Go on with it, if it is one of the same plan; begin when there is none.
    Resume,
    /// Throw it away. Files that are no export's stay.
    Replace,
}

/// Writes one export. What it holds when it is dropped, or after an error, can be gone on with: open it again.
pub struct Writer {
    folder: Folder,
    /// As it stands on the disk, or will in a moment.
    progress: Progress,
    /// With what the open part has.
    counts: Counts,
    problems: Problems,
    open: Option<OpenPart>,
    /// The last row that came.
    last: Option<(i32, i64)>,
    /// When there is nothing left to do.
    finished: Option<Manifest>,
}

/// A part that is not full.
struct OpenPart {
    name: String,
    partition: i32,
    first_offset: i64,
    last_offset: i64,
    rows: u64,
    encoder: Box<dyn Encoder>,
}

impl Writer {
    /// Opens the export in `folder`, which is made if need be.
    ///
    /// # Errors
    /// When the folder has something else in it, or cannot be written.
    pub fn open(folder: &Path, plan: Plan, existing: Existing) -> Result<Self, Error> {
        let folder = Folder::open(folder)?;
        let (progress, finished) = match (Begun::load(folder.path()), existing) {
            // Whatever is there goes.
            (Ok(Begun::Unfinished(_) | Begun::Finished(_)) | Err(Error::Damaged { .. }), Existing::Replace) => {
                (Progress::new(plan), None)
            }
            (Err(error), _) => return Err(error),
            (Ok(Begun::Nothing), _) => {
                if folder.names()?.iter().any(|name| !name.starts_with('.')) {
                    return Err(Error::NotEmpty(folder.path().to_owned()));
                }
                (Progress::new(plan), None)
            }
            (Ok(_), Existing::Refuse) => return Err(Error::Exists(folder.path().to_owned())),
            (Ok(Begun::Unfinished(progress)), Existing::Resume) => {
                progress.check(&plan, &folder)?;
                (progress, None)
            }
            (Ok(Begun::Finished(manifest)), Existing::Resume) => {
                let progress = Progress::of(&manifest);
                progress.check(&plan, &folder)?;
                (progress, Some(manifest))
            }
        };
        let counts = progress.counts.clone();
        if finished.is_none() {
            // From here on the journal counts, and nothing that it does not name.
            folder.save(PROGRESS, &progress)?;
            remove(&folder.join(MANIFEST))?;
        } else {
            remove(&folder.join(PROGRESS))?;
        }
        sweep(&folder, &progress)?;
        // A finished export keeps its file of problems as it is.
        let problems = match &finished {
            None => Problems::open(&folder, counts.unreadable_bytes)?,
            Some(_) => Problems::none(&folder),
        };
        Ok(Self { folder, progress, counts, problems, open: None, last: None, finished })
    }

    /// Where each partition goes on.
    pub fn resume_at(&self) -> BTreeMap<i32, i64> {
        self.progress.next.clone()
    }

    /// Rows of the parts that are finished.
    pub fn rows(&self) -> u64 {
        self.progress.parts.iter().map(|part| part.rows).sum()
    }

    /// Takes the next row: partition after partition, in the order of their numbers and offsets.
    ///
    /// # Errors
    /// When the row is not in its turn or not of this topic, or cannot be written.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.follow(row)?;
        let shape = self.progress.plan.shape;
        let problem = match &row.value {
            Value::Unreadable { problem, bytes } => Some((problem.as_str(), Some(&**bytes))),
            Value::Tombstone if !shape.has_tombstones() => Some(("the record has no value", None)),
            _ => None,
        };
        if let Some((problem, bytes)) = problem {
            self.counts.unreadable += 1;
            return self.problems.push(row, problem, bytes);
        }
        if !shape.has_columns_for(&row.value) {
            return Err(Error::OtherTopic { partition: row.partition, offset: row.offset });
        }
        if !self.progress.plan.filter.takes(row) {
            return Ok(());
        }
        self.counts.add(row);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenPart::begin(&self.folder, &self.progress.plan, row)?,
        };
        open.push(row)?;
        if open.rows < self.progress.plan.rows_per_file {
            self.open = Some(open);
            return Ok(());
        }
        self.close(open)?;
        self.save()
    }

    /// Says that no more rows come of `partition`.
    ///
    /// # Errors
    /// When the partition is not of the plan, or what is left of it cannot be written.
    pub fn partition_done(&mut self, partition: i32) -> Result<(), Error> {
        if self.finished.is_some() {
            return Ok(());
        }
        let out_of_order = |offset| Error::OutOfOrder { partition, offset };
        let end = self.progress.plan.ranges.get(&partition).map(|range| range.end).ok_or_else(|| out_of_order(0))?;
        match self.open.take() {
            Some(open) if open.partition != partition => return Err(out_of_order(end)),
            Some(open) => self.close(open)?,
            None => {}
        }
        self.progress.next.insert(partition, end);
        self.save()
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// When a partition is not done, or the manifest cannot be written.
    pub fn finish(self) -> Result<Manifest, Error> {
        if let Some(manifest) = self.finished {
            return Ok(manifest);
        }
        if let Some((partition, next)) = self.progress.open_partition() {
            return Err(Error::Unfinished { partition, next });
        }
        let unreadable = self.problems.publish(&self.folder, self.counts.unreadable)?;
        let manifest = self.progress.into_manifest(unreadable);
        self.folder.save(MANIFEST, &manifest)?;
        remove(&self.folder.join(PROGRESS))?;
        Ok(manifest)
    }

    /// Checks that the row is in its turn: a hole would not be seen in the files.
    fn follow(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let Row { partition, offset, .. } = *row;
        let ranges = &self.progress.plan.ranges;
        let is_asked_for = ranges.get(&partition).is_some_and(|range| range.contains(&offset));
        let is_new = self.progress.next.get(&partition).is_some_and(|next| offset >= *next);
        let follows = match self.last {
            None => true,
            Some((last, last_offset)) if last == partition => offset > last_offset,
            Some((last, _)) => last < partition && self.open.is_none(),
        };
        if !(is_asked_for && is_new && follows) {
            return Err(Error::OutOfOrder { partition, offset });
        }
        self.last = Some((partition, offset));
        Ok(())
    }

    /// Gives a part its name.
    fn close(&mut self, open: OpenPart) -> Result<(), Error> {
        let OpenPart { name, partition, first_offset, last_offset, rows, encoder } = open;
        let measure = encoder.finish()?.publish(&self.folder)?;
        self.progress.next.insert(partition, last_offset + 1);
        self.progress.parts.push(Part {
            file: name,
            partition,
            first_offset,
            last_offset,
            rows,
            bytes: measure.bytes,
            sha256: measure.sha256,
        });
        Ok(())
    }

    /// Replaces the journal. Only between parts: what it counts must be on the disk.
    fn save(&mut self) -> Result<(), Error> {
        self.counts.unreadable_bytes = self.problems.sync()?;
        self.progress.counts = self.counts.clone();
        self.folder.save(PROGRESS, &self.progress)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("folder", &self.folder).field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl OpenPart {
    /// Begins the part whose first row is `row`.
    fn begin(folder: &Folder, plan: &Plan, row: &Row<'_>) -> Result<Self, Error> {
        let name = format!("part-{:03}-{:012}.{}", row.partition, row.offset, plan.format);
        let encoder = plan.format.encoder(plan.shape, folder.draft(&name)?)?;
        let (partition, offset) = (row.partition, row.offset);
        Ok(Self { name, partition, first_offset: offset, last_offset: offset, rows: 0, encoder })
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.encoder.push(row)?;
        self.last_offset = row.offset;
        self.rows += 1;
        Ok(())
    }
}

/// Removes what an interrupted or replaced export left, and checks that what the journal names is there.
fn sweep(folder: &Folder, progress: &Progress) -> Result<(), Error> {
    for name in folder.names()? {
        let is_ours = name.starts_with("part-") && [".parquet", ".csv", ".jsonl"].iter().any(|end| name.ends_with(end));
        let is_left = name.starts_with(".part-") && name.ends_with(".tmp");
        if is_left || (is_ours && progress.parts.iter().all(|part| part.file != name)) {
            remove(&folder.join(&name))?;
        }
    }
    for part in &progress.parts {
        let path = folder.join(&part.file);
        if fs::metadata(&path).is_ok_and(|file| file.len() == part.bytes) {
            continue;
        }
        return Err(Error::Changed(path));
    }
    Ok(())
}
