#!/usr/bin/env python3
"""Show a folder at a second place, as a host shows it that hears late of what other hosts do there.

    python tests/late_disk.py FOLDER MOUNTPOINT SECONDS [locks] [stubborn]      until MOUNTPOINT is unmounted

What the kernel knows of a name (that there is none, too), of a file and of what is in a folder counts for so many
seconds, as for a client of NFS: where FOLDER is shown twice, one mount does not see what was done through the other.
As there, whoever opens a file sees what it is now; with `stubborn` that is late as well.
Locks (flock) hold in one mount only, as with nolock or local_lock; with `locks` they do everywhere.

Speaks with the kernel itself (linux/fuse.h), since that needs no library, and says how long each answer counts. For
root.
"""

import ctypes
import errno
import fcntl
import os
import resource
import stat
import struct
import sys

MS_NOSUID, MS_NODEV = 2, 4
KEEP_CACHE, CACHE_DIR = 2, 8
ATOMIC_O_TRUNC, BIG_WRITES, FLOCK_LOCKS, AUTO_INVAL_DATA = 1 << 3, 1 << 5, 1 << 10, 1 << 12
SET_MODE, SET_UID, SET_GID, SET_SIZE, SET_ATIME, SET_MTIME, SET_ATIME_NOW, SET_MTIME_NOW = 1, 2, 4, 8, 16, 32, 128, 256
INVAL_INODE = 2
ROOT = 1


def set_times(path, valid, seconds, nanoseconds):
    """Set the times of a file of which a request speaks (access, modification); the others stay."""
    there = os.stat(path)
    times = [there.st_atime_ns, there.st_mtime_ns]
    for place, given, now in ((0, SET_ATIME, SET_ATIME_NOW), (1, SET_MTIME, SET_MTIME_NOW)):
        if valid & given and not valid & now:
            times[place] = seconds[place] * 10 ** 9 + nanoseconds[place]
    if valid & (SET_ATIME_NOW | SET_MTIME_NOW):
        os.utime(path)
    else:
        os.utime(path, ns=tuple(times))


class LateDisk:
    """A folder, of which the kernel may remember for some seconds what it was told.

    Attributes:
        nodes: by number: a descriptor (O_PATH) and how often the kernel was told of it
    """

    def __init__(self, folder, mountpoint, seconds, locks=False, stubborn=False):
        self.seconds, self.locks, self.stubborn = seconds, locks, stubborn
        self.nodes = {ROOT: [os.open(folder, os.O_PATH), 1]}
        self.root = os.fstat(self.nodes[ROOT][0]).st_ino
        self.held = {}    # by owner: a descriptor with the lock
        self.listings = {}
        self.device = os.open('/dev/fuse', os.O_RDWR)
        options = 'fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'.format(self.device)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b'late_disk', os.fsencode(mountpoint), b'fuse.late_disk', MS_NOSUID | MS_NODEV, options.encode()):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), mountpoint)

    def serve(self):
        """Answer requests until the folder is unmounted."""
        while True:
            try:
                request = os.read(self.device, (1 << 20) + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                raise
            _, code, unique, node = struct.unpack_from('<IIQQ', request)
            name = OPERATIONS.get(code)
            body, status = b'', 0
            try:
                if name is None:
                    raise OSError(errno.ENOSYS, '')
                body = getattr(self, name)(node, request[40:])
            except OSError as error:
                status = -error.errno
            if body is not None:
                self.answer(status, unique, body)

    def answer(self, status, unique, body=b''):
        """Say something to the kernel."""
        try:
            os.write(self.device, struct.pack('<IiQ', 16 + len(body), status, unique) + body)
        except OSError as error:    # nobody waits for it any more
            if error.errno not in (errno.ENOENT, errno.EINVAL):
                raise

    # Nodes

    def at(self, node):
        """Return the path by which a node is reached."""
        return '/proc/self/fd/{}'.format(self.nodes[node][0])

    def attributes(self, node):
        """Return what is known of a node."""
        found = os.fstat(self.nodes[node][0])
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return struct.pack('<6Q10I', found.st_ino, found.st_size, found.st_blocks, *(
            [time // 10 ** 9 for time in times] + [time % 10 ** 9 for time in times]
            + [found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_blksize, 0]))

    def valid(self):
        """Return for how long an answer counts: seconds and nanoseconds."""
        return int(self.seconds), int(self.seconds % 1 * 10 ** 9)

    def entry(self, parent, name):
        """Look a name up, and return what is told of it."""
        seconds, rest = self.valid()
        try:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.nodes[parent][0])
        except FileNotFoundError:
            return struct.pack('<4QII', 0, 0, seconds, 0, rest, 0) + bytes(88)
        inode = os.fstat(handle).st_ino
        node = ROOT if inode == self.root else inode + ROOT
        if node in self.nodes:
            os.close(handle)
            self.nodes[node][1] += 1
        else:
            self.nodes[node] = [handle, 1]
        return struct.pack('<4QII', node, 0, seconds, seconds, rest, rest) + self.attributes(node)

    def told(self, node):
        """Return the attributes of a node, and for how long they count."""
        return struct.pack('<QII', *(self.valid() + (0,))) + self.attributes(node)

    def forgotten(self, node, count):
        """Learn that the kernel has forgotten a node so many times."""
        known = self.nodes.get(node)
        if known:
            known[1] -= count
            if known[1] <= 0 and node != ROOT:
                os.close(self.nodes.pop(node)[0])

    # Requests, each with the node and what stands behind the header

    def init(self, node, text):
        flags = ATOMIC_O_TRUNC | BIG_WRITES | AUTO_INVAL_DATA | (FLOCK_LOCKS if self.locks else 0)
        return struct.pack('<4IHHIIHHI7I', 7, 31, 1 << 17, flags, 16, 12, 1 << 17, 1, 32, 0, *[0] * 8)

    def lookup(self, node, text):
        return self.entry(node, text[:-1])

    def forget(self, node, text):
        self.forgotten(node, *struct.unpack_from('<Q', text))

    def batch_forget(self, node, text):
        for some in struct.iter_unpack('<QQ', text[8:8 + 16 * struct.unpack_from('<I', text)[0]]):
            self.forgotten(*some)

    def getattr(self, node, text):
        return self.told(node)

    def setattr(self, node, text):
        valid, _, _, size, _, *times = struct.unpack_from('<IIQQQ3Q3I', text)
        mode, _, uid, gid = struct.unpack_from('<4I', text, 68)
        path = self.at(node)
        if valid & SET_MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & (SET_UID | SET_GID):
            os.chown(path, uid if valid & SET_UID else -1, gid if valid & SET_GID else -1)
        if valid & SET_SIZE:
            os.truncate(path, size)
        if valid & (SET_ATIME | SET_MTIME):
            set_times(path, valid, times[:3], times[3:])
        return self.told(node)

    def readlink(self, node, text):
        return os.readlink(b'', dir_fd=self.nodes[node][0])

    def symlink(self, node, text):
        name, target, _ = text.split(b'\0')
        os.symlink(target, name, dir_fd=self.nodes[node][0])
        return self.entry(node, name)

    def mknod(self, node, text):
        mode, device = struct.unpack_from('<II', text)
        os.mknod(text[16:-1], mode, device, dir_fd=self.nodes[node][0])
        return self.entry(node, text[16:-1])

    def mkdir(self, node, text):
        os.mkdir(text[8:-1], struct.unpack_from('<I', text)[0], dir_fd=self.nodes[node][0])
        return self.entry(node, text[8:-1])

    def unlink(self, node, text):
        os.unlink(text[:-1], dir_fd=self.nodes[node][0])
        return b''

    def rmdir(self, node, text):
        os.rmdir(text[:-1], dir_fd=self.nodes[node][0])
        return b''

    def rename(self, node, text, start=8):
        old, new, _ = text[start:].split(b'\0')
        target = struct.unpack_from('<Q', text)[0]
        os.rename(old, new, src_dir_fd=self.nodes[node][0], dst_dir_fd=self.nodes[target][0])
        return b''

    def rename2(self, node, text):
        if struct.unpack_from('<QI', text)[1]:
            raise OSError(errno.EINVAL, '')
        return self.rename(node, text, 16)

    def link(self, node, text):
        os.link(self.at(struct.unpack_from('<Q', text)[0]), text[8:-1], dst_dir_fd=self.nodes[node][0],
                follow_symlinks=True)
        return self.entry(node, text[8:-1])

    def open(self, node, text):
        if not self.stubborn:
            if not os.fstat(self.nodes[node][0]).st_nlink:
                raise OSError(errno.ESTALE, '')    # and the kernel looks the name up once more
            self.answer(INVAL_INODE, 0, struct.pack('<Qqq', node, -1, 0))
        # The kernel itself finds the end of the file for O_APPEND.
        flags = struct.unpack_from('<I', text)[0] & ~(os.O_APPEND | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL)
        return struct.pack('<QII', os.open(self.at(node), flags), 0, 0)

    def create(self, node, text):
        flags, mode = struct.unpack_from('<II', text)
        handle = os.open(text[16:-1], flags & ~os.O_APPEND | os.O_CREAT, mode, dir_fd=self.nodes[node][0])
        return self.entry(node, text[16:-1]) + struct.pack('<QII', handle, 0, 0)

    def read(self, node, text):
        handle, place, size = struct.unpack_from('<QQI', text)
        return os.pread(handle, size, place)

    def write(self, node, text):
        handle, place, size = struct.unpack_from('<QQI', text)
        return struct.pack('<II', os.pwrite(handle, text[40:40 + size], place), 0)

    def fsync(self, node, text):
        os.fsync(struct.unpack_from('<Q', text)[0])
        return b''

    def release(self, node, text):
        handle, _, _, owner = struct.unpack_from('<QIIQ', text)
        os.close(handle)
        if owner in self.held:
            os.close(self.held.pop(owner))
        return b''

    def statfs(self, node, text):
        found = os.statvfs(self.at(node))
        return struct.pack('<5Q4I24x', found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree,
                           found.f_bsize, found.f_namemax, found.f_frsize, 0)

    def opendir(self, node, text):
        handle = max(self.listings, default=0) + 1
        self.listings[handle] = None
        return struct.pack('<QII', handle, KEEP_CACHE | CACHE_DIR, 0)

    def readdir(self, node, text):
        handle, place, size = struct.unpack_from('<QQI', text)
        if self.listings[handle] is None or not place:
            self.listings[handle] = [b'.', b'..'] + os.listdir(os.fsencode(self.at(node)))
        found = b''
        for number, name in enumerate(self.listings[handle][place:], place + 1):
            some = struct.pack('<QQII', number, number, len(name), 0) + name
            some += bytes(-len(some) % 8)
            if len(found) + len(some) > size:
                break
            found += some
        return found

    def releasedir(self, node, text):
        del self.listings[struct.unpack_from('<Q', text)[0]]
        return b''

    def setlk(self, node, text):
        _, owner, _, _, kind = struct.unpack_from('<4QI', text)
        if kind == fcntl.F_UNLCK:
            if owner in self.held:
                os.close(self.held.pop(owner))
            return b''
        handle = self.held.get(owner) or os.open(self.at(node), os.O_RDWR)
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if kind == fcntl.F_RDLCK else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            self.held.pop(owner, None)
            os.close(handle)
            raise
        self.held[owner] = handle
        return b''


#: By its number in linux/fuse.h, the method for a request. To all others the answer is ENOSYS, and the kernel asks
#: once. A lock that another has is not waited for.
OPERATIONS = {
    1: 'lookup', 2: 'forget', 3: 'getattr', 4: 'setattr', 5: 'readlink', 6: 'symlink', 8: 'mknod', 9: 'mkdir',
    10: 'unlink', 11: 'rmdir', 12: 'rename', 13: 'link', 14: 'open', 15: 'read', 16: 'write', 17: 'statfs',
    18: 'release', 20: 'fsync', 26: 'init', 27: 'opendir', 28: 'readdir', 29: 'releasedir', 32: 'setlk', 33: 'setlk',
    35: 'create', 42: 'batch_forget', 45: 'rename2'}


def main():
    """Show the folder."""
    os.umask(0)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder, mountpoint, seconds = sys.argv[1:4]
    LateDisk(folder, mountpoint, float(seconds), 'locks' in sys.argv[4:], 'stubborn' in sys.argv[4:]).serve()


if __name__ == '__main__':
    main()
