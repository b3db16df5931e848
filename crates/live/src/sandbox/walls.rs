//! What the kernel itself keeps from a program: files by Landlock, sockets and other ways out by seccomp.
//!
//! Both bind a thread and what it starts. So each program is started by a thread of its own that has given up its rights before: no
//! `unsafe` between `fork` and `exec`, and no other program in between.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use super::limits::MAX_SPLIT_FOLDERS;

/// What is asked of the kernel; it enforces what it knows of it.
const NEWEST_ABI: ABI = ABI::V6;

/// Where programs and their libraries lie (Filesystem Hierarchy Standard §3, §4; Nix and Guix have stores).
const PROGRAMS: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What the loader and the C library read beside them.
const READ: [&str; 7] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/sys/kernel/cap_last_cap",
    "/sys/devices/system/cpu/online",
];

/// Kernel calls that no decoder needs. Sockets of every kind, and what makes them without the calls for sockets; what reaches into other
/// processes of the same user, signals among it; what builds other views of files, on which the rules for files would not hold; what
/// changes files by their names and is no matter of Landlock (modes, owners, times, attributes) or of its older versions (`truncate`).
/// A pair of sockets reaches nobody else, and the standard library starts processes with one.
const REFUSED: [i64; 73] = [
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_truncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
    libc::SYS_quotactl,
    libc::SYS_acct,
];

// Of newer kernels than `libc` knows for every architecture; the numbers are the same on all of them.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const FILE_SETATTR: i64 = 469;

/// The same by their old names, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: [i64; 6] = [
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: [i64; 0] = [];

/// Calls that are refused where this argument is not 0, which stands for the caller itself: limits and priorities of other processes.
const REFUSED_FOR_OTHERS: [(i64, u8); 2] = [(libc::SYS_prlimit64, 0), (libc::SYS_setpriority, 1)];

/// The second set of numbers of the same calls on x86-64 (`Documentation/arch/x86/x86_64/x32`).
const X32: i64 = 0x4000_0000;

/// What is in force around a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Walls {
    /// What it may read and write of files; `None`: whatever this node may.
    pub(super) files: Option<Files>,
    /// Whether the calls in [`REFUSED`] are refused.
    pub(super) calls: bool,
}

/// What a program may see of the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// The program itself, where it is found.
    pub(super) program: Option<PathBuf>,
    /// Read and written.
    pub(super) folder: Option<PathBuf>,
    /// Not to be seen wherever they lie.
    pub(super) private: Vec<PathBuf>,
}

/// A program behind walls. It is killed when this is dropped.
pub struct Confined {
    /// The process.
    pub child: Child,
    /// The thread that started it lives as long: the tie of a process to its parent is one to a thread (prctl(2),
    /// `PR_SET_PDEATHSIG`).
    _parent: SyncSender<()>,
}

impl Walls {
    /// Whether the kernel has what is asked for, each on its own.
    pub(super) async fn probe(files: Files) -> Self {
        let files = Some(files);
        let found = Self { files, calls: true };
        let has = |walls: Self| async { on_thread(move || walls.raise()).await.is_ok() };
        let has_files = has(Self { calls: false, ..found.clone() }).await;
        let has_calls = has(Self { files: None, ..found.clone() }).await;
        Self { files: found.files.filter(|_| has_files), calls: has_calls }
    }

    /// Starts a program behind them.
    ///
    /// # Errors
    /// When it cannot be started, or one of the walls cannot be raised.
    pub(super) async fn spawn(&self, mut command: Command) -> io::Result<Confined> {
        let (walls, runtime) = (self.clone(), Handle::current());
        let (told, outcome) = oneshot::channel();
        let (parent, children) = sync_channel::<()>(1);
        let work = move || {
            let started = walls.raise().and_then(|()| {
                let _runtime = runtime.enter();
                command.spawn()
            });
            // Nobody waits any more: it is dropped, and killed with it.
            let is_started = started.is_ok();
            if told.send(started).is_ok() && is_started {
                // Until the other end goes.
                let _ = children.recv();
            }
        };
        std::thread::Builder::new().name("confined".to_owned()).spawn(work)?;
        let child = outcome.await.map_err(io::Error::other)??;
        Ok(Confined { child, _parent: parent })
    }

    /// Takes the rights of this thread, for ever.
    fn raise(&self) -> io::Result<()> {
        if let Some(files) = &self.files {
            files.confine()?;
        }
        if self.calls {
            let filter = refused_calls().map_err(io::Error::other)?;
            seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Files {
    fn confine(&self) -> io::Result<()> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
        let write = AccessFs::ReadFile
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::RemoveFile;
        let private: Vec<PathBuf> = self.private.iter().map(|path| real(path)).collect();
        let mut rules: Vec<(PathBuf, BitFlags<AccessFs>)> = Vec::new();
        let mut budget = MAX_SPLIT_FOLDERS;
        for folder in PROGRAMS {
            let folders = without(&real(Path::new(folder)), &private, &mut budget)?;
            rules.extend(folders.into_iter().map(|folder| (folder, read)));
        }
        rules.extend(READ.map(|file| (PathBuf::from(file), AccessFs::ReadFile.into())));
        rules.push(("/dev/null".into(), AccessFs::ReadFile | AccessFs::WriteFile));
        if let Some(program) = &self.program {
            // Where it is installed apart, its libraries lie beside it.
            let libraries = program.parent().map(|folder| real(&folder.join("../lib")));
            let libraries = libraries.filter(|folder| folder.components().count() > 2);
            if let Some(libraries) = libraries {
                let folders = without(&libraries, &private, &mut budget)?;
                rules.extend(folders.into_iter().map(|folder| (folder, read)));
            }
            rules.push((program.clone(), AccessFs::ReadFile | AccessFs::Execute));
        }
        if let Some(folder) = &self.folder {
            rules.push((folder.clone(), write));
        }
        let mut rule_set = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST_ABI))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST_ABI)))
            .and_then(|rules| rules.scope(Scope::from_all(NEWEST_ABI)))
            .and_then(Ruleset::create)
            .map_err(io::Error::other)?;
        for (path, access) in rules {
            // What is not there needs no rule.
            let Ok(place) = PathFd::new(&path) else { continue };
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST_ABI) };
            rule_set = rule_set.add_rule(PathBeneath::new(place, access)).map_err(io::Error::other)?;
        }
        let status = rule_set.restrict_self().map_err(io::Error::other)?;
        match status.ruleset {
            RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
            // Older kernels know less of it; files are the first thing that any of them knows.
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        }
    }
}

/// The path without links, as the kernel judges it; as it stands where there is nothing yet.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What makes up a folder without what is private: rules can only give.
fn without(folder: &Path, private: &[PathBuf], budget: &mut usize) -> io::Result<Vec<PathBuf>> {
    if private.iter().any(|hidden| folder.starts_with(hidden)) {
        return Ok(Vec::new());
    }
    if !private.iter().any(|hidden| hidden.starts_with(folder)) {
        return Ok(vec![folder.to_owned()]);
    }
    let Some(left) = budget.checked_sub(1) else { return Ok(Vec::new()) };
    *budget = left;
    let mut parts = Vec::new();
    for entry in folder.read_dir()? {
        // A link leads where its name does not say.
        parts.extend(without(&real(&entry?.path()), private, budget)?);
    }
    Ok(parts)
}

fn refused_calls() -> Result<BpfProgram, seccompiler::BackendError> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<_>> =
        REFUSED.into_iter().chain(REFUSED_OLD).map(|call| (call, Vec::new())).collect();
    for (call, process) in REFUSED_FOR_OTHERS {
        let is_another = SeccompCondition::new(process, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![is_another])?]);
    }
    if architecture == TargetArch::x86_64 {
        let again: Vec<_> = rules.iter().map(|(call, rules)| (X32 | call, rules.clone())).collect();
        rules.extend(again);
    }
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture)?.try_into()
}

/// Does something on a thread that ends with it.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (told, outcome) = oneshot::channel();
    std::thread::Builder::new().name("confined".to_owned()).spawn(move || {
        // Nobody waits any more.
        drop(told.send(work()));
    })?;
    outcome.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_left_out_of_what_is_readable() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["lib", "share/data", "share/other"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let parts = |private: &str| {
            let mut parts = without(&root, &[root.join(private)], &mut 8).unwrap();
            parts.sort();
            parts
        };
        assert_eq!(parts("share/data"), [root.join("lib"), root.join("share/other")]);
        assert_eq!(parts(""), Vec::<PathBuf>::new());
        assert_eq!(without(&root, &["/elsewhere".into()], &mut 8).unwrap(), std::slice::from_ref(&root));
        assert!(without(&root, &[root.join("lib")], &mut 0).unwrap().is_empty());
    }
}
