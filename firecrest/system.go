package firecrest

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"
)

// System is a machine behind the service.
type System struct {
	// Name is what the API calls it.
	Name string
	// SSH is how the service reaches its login node.
	SSH SSH
	// Scheduler is its batch system.
	Scheduler Scheduler
	// Health is the last probe of each service. Nil before the first probe and
	// where probing is off.
	Health []ServiceHealth
	// FileSystems are the trees that paths must lie in.
	FileSystems []FileSystem
	// MaxFileSize is the server's limit, in bytes, for the body of an upload and
	// for what any command may print. Servers before 2.5.0 do not tell; then it
	// is their default, 5 MiB.
	MaxFileSize int64
	// TransferDirectives are the scheduler directives of transfer jobs.
	TransferDirectives []string
	// Transfer is how large files are moved. Nil if the system cannot, and
	// before server 2.5.0, which does not tell.
	Transfer *Transfer

	toldLimit bool // MaxFileSize came from the server
}

// SSH describes the connection of the service to a login node.
type SSH struct {
	Host           string
	Port           int
	MaxClients     int           // users at the same time
	CommandTimeout time.Duration // of each command an operation runs
}

// Scheduler is the batch system of a system.
type Scheduler struct {
	Type           string // slurm or pbs
	Version        string
	ConnectionMode string // ssh, rest or hybrid; empty before server 2.4.2
}

// ServiceHealth is what the last probe of a service found.
type ServiceHealth struct {
	Service     string // scheduler, ssh, filesystem, s3, exception
	Path        string // of a filesystem
	Healthy     bool
	Message     string
	LastChecked time.Time
}

// FileSystem is one tree of files of a system.
type FileSystem struct {
	Path           string `json:"path"`
	DataType       string `json:"dataType"` // users, store, archive, apps, scratch or project
	DefaultWorkDir bool   `json:"defaultWorkDir"`
}

// Transfer is how files above the direct limits are moved.
type Transfer struct {
	Method      TransferMethod
	MaxPartSize int64 // s3: bytes per part
	URLTTL      time.Duration
	// StoreURL is where the object store is for clients; empty if the server does
	// not say.
	StoreURL string
}

const defaultMaxFileSize = 5 << 20

// UnmarshalJSON reads the shape of every release since 2.1.3.
func (s *System) UnmarshalJSON(b []byte) error {
	var w struct {
		Name string `json:"name"`
		SSH  struct {
			Host       string `json:"host"`
			Port       number `json:"port"`
			MaxClients number `json:"maxClients"`
			Timeout    struct {
				Command number `json:"commandExecution"`
			} `json:"timeout"`
		} `json:"ssh"`
		Scheduler struct {
			Type           string `json:"type"`
			Version        text   `json:"version"`
			ConnectionMode string `json:"connectionMode"`
		} `json:"scheduler"`
		Health []struct {
			Service     string `json:"serviceType"`
			Path        string `json:"path"`
			Healthy     bool   `json:"healthy"`
			Message     text   `json:"message"`
			LastChecked text   `json:"lastChecked"`
		} `json:"servicesHealth"`
		FileSystems   []FileSystem `json:"fileSystems"`
		OldDirectives []string     `json:"datatransferJobsDirectives"` // ≤ 2.4.2
		Operation     *struct {
			Directives  []string `json:"datatransfer_jobs_directives"`
			MaxFileSize number   `json:"max_ops_file_size"`
			Transfer    *struct {
				Method    TransferMethod `json:"serviceType"`
				TTL       number         `json:"ttl"`
				PublicURL text           `json:"publicUrl"`
				Multipart struct {
					MaxPartSize number `json:"max_part_size"`
				} `json:"multipart"`
			} `json:"data_transfer"`
		} `json:"dataOperation"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*s = System{
		Name:               w.Name,
		SSH:                SSH{w.SSH.Host, int(w.SSH.Port.n), int(w.SSH.MaxClients.n), time.Duration(w.SSH.Timeout.Command.n) * time.Second},
		Scheduler:          Scheduler{w.Scheduler.Type, string(w.Scheduler.Version), w.Scheduler.ConnectionMode},
		FileSystems:        w.FileSystems,
		MaxFileSize:        defaultMaxFileSize,
		TransferDirectives: w.OldDirectives,
	}
	for _, h := range w.Health {
		checked, _ := time.Parse(time.RFC3339Nano, string(h.LastChecked)) // null until checked
		s.Health = append(s.Health, ServiceHealth{h.Service, h.Path, h.Healthy, clean(string(h.Message)), checked})
	}
	if o := w.Operation; o != nil {
		s.TransferDirectives = o.Directives
		if o.MaxFileSize.n > 0 {
			s.MaxFileSize, s.toldLimit = o.MaxFileSize.n, true
		}
		if t := o.Transfer; t != nil {
			s.Transfer = &Transfer{t.Method, t.Multipart.MaxPartSize.n, time.Duration(t.TTL.n) * time.Second, string(t.PublicURL)}
		}
	}
	return nil
}

// MaxUpload is the largest file, in bytes, that [FilesystemService.Upload] can
// send: the server's limit. Servers that do not tell their limit may count it
// exclusively, hence one byte less there.
func (s *System) MaxUpload() int64 {
	if !s.toldLimit {
		return s.MaxFileSize - 1
	}
	return s.MaxFileSize
}

// MovesNoLarge reports whether the system is known to have no method for large
// files. Servers that do not tell their limit do not tell the method either.
func (s *System) MovesNoLarge() bool { return s.toldLimit && s.Transfer == nil }

// MaxDownload is the largest file, in bytes, that [FilesystemService.Download]
// can fetch. The server holds the file as base64, so it is the largest n with
// 4·⌈n/3⌉ below the limit: 3,932,157 for the default of 5 MiB.
func (s *System) MaxDownload() int64 { return (s.MaxFileSize - 1) / 4 * 3 }

// MaxView is the largest window, in bytes, that [FilesystemService.View] can
// read of a file of any size: just under half the limit.
func (s *System) MaxView() int64 { return (s.MaxFileSize - 1) / 2 }

// NeedsAccount reports whether transfers must name an account.
func (s *System) NeedsAccount() bool {
	return slices.ContainsFunc(s.TransferDirectives, func(d string) bool { return strings.Contains(d, "{account}") })
}

// FileSystemOf returns the file system that a path lies in, after folding its
// dots, and false if there is none; servers since 2.5.6 refuse such a path.
func (s *System) FileSystemOf(p string) (FileSystem, bool) {
	p = path.Clean(p)
	for _, fs := range s.FileSystems {
		root := strings.TrimRight(path.Clean(fs.Path), "/")
		if p == root || strings.HasPrefix(p, root+"/") {
			return fs, true
		}
	}
	return FileSystem{}, false
}

// WorkDir returns the path of the file system that holds the users' default
// working directories, "" if the service names none.
func (s *System) WorkDir() string {
	for _, fs := range s.FileSystems {
		if fs.DefaultWorkDir {
			return fs.Path
		}
	}
	return ""
}
