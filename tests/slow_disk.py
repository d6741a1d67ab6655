#!/usr/bin/env python3
"""Show a folder at a second place, as a disk would show it that takes a while for each operation.

    python tests/slow_disk.py FOLDER MOUNTPOINT SECONDS      until MOUNTPOINT is unmounted

An operation is a request that the kernel sends here: a name looked up, a file made, opened, read, written or renamed.
Three things are free, as they are on NFS: a close, the question whether a file is a terminal (ioctl), and what the
kernel still knows (a name, or the size of a file, for a second). Operations of different processes wait side by side.
Needs fusepy from PyPI, and libfuse2 from Debian.
"""

import errno
import os
import sys
import time

import fuse


class SlowDisk(fuse.Operations):
    """A folder, behind a wait."""

    use_ns = True
    # Without these the kernel asks once, and then no more.
    access = flush = opendir = releasedir = fsyncdir = None
    getxattr = setxattr = listxattr = removexattr = None

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds

    def __call__(self, op, path, *arguments):
        # libfuse asks for the size of each file that it has just made or opened, the kernel does not: no wait.
        if op not in ('init', 'destroy', 'release', 'ioctl') and not (op == 'getattr' and arguments[0]):
            time.sleep(self.seconds)
        return getattr(self, op)(self.folder + path, *arguments)

    def init(self, path):
        os.umask(0)

    def getattr(self, path, info=None):
        found = os.fstat(info.fh) if info else os.lstat(path)
        attributes = {name: getattr(found, name) for name in (
            'st_mode', 'st_ino', 'st_dev', 'st_nlink', 'st_uid', 'st_gid', 'st_size', 'st_blocks')}
        attributes.update(st_atime=found.st_atime_ns, st_mtime=found.st_mtime_ns, st_ctime=found.st_ctime_ns)
        return attributes

    def create(self, path, mode, info):
        info.fh = os.open(path, info.flags | os.O_CREAT, mode)

    def open(self, path, info):
        # The kernel itself finds the end of the file for O_APPEND.
        info.fh = os.open(path, info.flags & ~os.O_APPEND)

    def read(self, path, size, offset, info):
        return os.pread(info.fh, size, offset)

    def write(self, path, data, offset, info):
        return os.pwrite(info.fh, data, offset)

    def fsync(self, path, only_data, info):
        os.fsync(info.fh)

    def release(self, path, info):
        os.close(info.fh)

    def truncate(self, path, length, info=None):
        os.truncate(info.fh if info else path, length)

    def readdir(self, path, info):
        return ['.', '..'] + os.listdir(path)

    def statfs(self, path):
        found = os.statvfs(path)
        return {name: getattr(found, name) for name in dir(found) if name.startswith('f_')}

    def mkdir(self, path, mode):
        os.mkdir(path, mode)

    def rmdir(self, path):
        os.rmdir(path)

    def unlink(self, path):
        os.unlink(path)

    def rename(self, old, new):
        os.rename(old, self.folder + new)

    def link(self, new, old):
        os.link(self.folder + old, new)

    def symlink(self, new, old):
        os.symlink(old, new)

    def readlink(self, path):
        return os.readlink(path)

    def chmod(self, path, mode):
        os.chmod(path, mode)

    def chown(self, path, user, group):
        os.lchown(path, user, group)

    def utimens(self, path, times=None):
        os.utime(path, ns=times)

    def mknod(self, path, mode, device):
        raise fuse.FuseOSError(errno.EPERM)


if __name__ == '__main__':
    # It stands for a server elsewhere, which the load of this machine does not slow down.
    try:
        os.nice(-20)
    except OSError:
        pass
    fuse.FUSE(SlowDisk(os.path.realpath(sys.argv[1]), float(sys.argv[3])), sys.argv[2], raw_fi=True, foreground=True,
              big_writes=True)
