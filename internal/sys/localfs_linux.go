package sys

import "golang.org/x/sys/unix"

// local are the file systems that have nobody behind them but the kernel and its devices. An
// overlay is one: what it is made of is the choice of whoever runs the container.
var local = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.TMPFS_MAGIC:           true,
	unix.RAMFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.EROFS_SUPER_MAGIC_V1:  true,
	unix.SQUASHFS_MAGIC:        true,
	unix.ISOFS_SUPER_MAGIC:     true,
	unix.UDF_SUPER_MAGIC:       true,
	unix.MSDOS_SUPER_MAGIC:     true,
	unix.EXFAT_SUPER_MAGIC:     true,
	unix.REISERFS_SUPER_MAGIC:  true,
	unix.NILFS_SUPER_MAGIC:     true,
	unix.JFFS2_SUPER_MAGIC:     true,
	unix.MINIX_SUPER_MAGIC:     true,
	unix.PROC_SUPER_MAGIC:      true,
	unix.SYSFS_MAGIC:           true,
	unix.CGROUP2_SUPER_MAGIC:   true,
	0x2fc12fc1:                 true, // ZFS, of its super_block's s_magic
	0xca451a4e:                 true, // bcachefs
	0x3153464a:                 true, // JFS (linux/fs/jfs/jfs_superblock.h)
	0x24051905:                 true, // UBIFS
	0x7366746e:                 true, // ntfs3
}

func localFS(path string) (bool, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return false, wrap("statfs", err)
	}
	return local[uint32(st.Type)], nil
}
