// Package datatransfer moves files between this machine and a system behind
// FirecREST, of any size and by whatever way the system has: the API itself for
// small files, an object store, a websocket or magic wormhole for large ones.
//
//	mover := datatransfer.New(client, datatransfer.Settings{})
//	result, err := mover.Upload(ctx, &datatransfer.Upload{System: "alps", From: "mesh.nc", To: "/scratch/me/mesh.nc"})
//	result, err = mover.Download(ctx, &datatransfer.Download{System: "alps", From: "/scratch/me/out.nc", To: "out.nc"})
//
// What all ways have in common:
//
//   - a file counts as transferred when its size matches and, wherever the site
//     can compute it, its SHA-256; [Result.Verified] says which. No state of a
//     job and no answer of an object store is taken for proof;
//   - a local file appears under its name when it is complete, verified and on
//     disk. A remote file is written in place by the service, and others may see
//     a part of it meanwhile;
//   - the bytes are streamed: memory does not depend on the size of a file;
//   - an interrupted transfer goes on where it was if its [Journal] was kept:
//     with the parts that the store already has, or the ranges that are already
//     on disk. Addresses that have expired are replaced by a new transfer, after
//     the end of the old one's job has been seen;
//   - presigned URLs, secrets of streams and wormhole codes let whoever has them
//     read or write the file. They go to [Journal.KeepPrivate] and nowhere else:
//     not into errors, logs or progress.
//
// [Upload] and [Download] are each a sequence of short pieces of work with
// batch jobs of the service between them. [Mover.Upload] and [Mover.Download]
// do everything and block; a program that has something better to do while a
// job is in the queue calls their Continue instead.
//
// Archives and globs turn many files into one: [FindLocal], [PackArchive],
// [UnpackArchive]. [ObjectStore] is for objects that the user has keys for.
package datatransfer
