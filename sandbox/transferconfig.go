package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Methods of moving large files, as the API spells them, and none of them.
const (
	methodS3       = "s3"
	methodStreamer = "streamer"
	methodWormhole = "wormhole"
	methodNone     = "none"
)

// transfer is how the system moves large files, with every default filled in.
func (sys *SystemConfig) transfer() TransferConfig {
	t := sys.Transfer
	t.Method = cmp.Or(t.Method, methodS3)
	t.MaxPartSize = cmp.Or(t.MaxPartSize, 64<<20)
	t.TTL = min(cmp.Or(t.TTL, maxTTL), maxTTL)
	t.Poll = cmp.Or(t.Poll, Duration(200*time.Millisecond))
	t.GiveUp = cmp.Or(t.GiveUp, Duration(24*time.Hour))
	t.PortRange = cmp.Or(t.PortRange, [2]int{5665, 5675})
	t.WaitTimeout = cmp.Or(t.WaitTimeout, Duration(24*time.Hour))
	t.InboundTransferLimit = cmp.Or(t.InboundTransferLimit, 5<<30)
	if len(t.PublicIPs) == 0 {
		t.PublicIPs = []string{"127.0.0.1"}
	}
	return t
}

func (t TransferConfig) check() error {
	if err := oneOf("transfer method", t.Method, methodS3, methodStreamer, methodWormhole, methodNone); err != nil {
		return err
	}
	ports, ttl := t.PortRange, time.Duration(t.TTL)
	switch {
	case ports[0] < 0, ports[0] > ports[1], ports[1] > 65535:
		return fmt.Errorf("port range %d-%d", ports[0], ports[1])
	case t.MaxPartSize < 0, t.InboundTransferLimit < 0:
		return errors.New("max_part_size or inbound_transfer_limit is negative")
	case ttl != 0 && ttl < time.Second:
		return fmt.Errorf("ttl %s: want 1s or more", ttl)
	case t.Poll < 0, t.GiveUp < 0, t.WaitTimeout < 0:
		return errors.New("poll, give_up or wait_timeout is negative")
	}
	return nil
}

// maxTTL is as long as a presigned URL can be good.
const maxTTL = Duration(7 * 24 * time.Hour)

const masked = "**********"

type (
	s3Reply struct {
		ServiceType     string         `json:"serviceType"`
		Name            string         `json:"name"`
		PrivateURL      string         `json:"privateUrl"`
		PublicURL       string         `json:"publicUrl"`
		AccessKeyID     string         `json:"accessKeyId"`
		SecretAccessKey string         `json:"secretAccessKey"`
		Region          string         `json:"region"`
		TTL             int64          `json:"ttl"` // seconds
		Tenant          *string        `json:"tenant"`
		Multipart       multipartReply `json:"multipart"`
		Lifecycle       map[string]int `json:"bucketLifecycleConfiguration"`
	}
	multipartReply struct {
		UseSplit     bool   `json:"use_split"`
		MaxPartSize  int64  `json:"max_part_size"`
		ParallelRuns int    `json:"parallel_runs"`
		TmpFolder    string `json:"tmp_folder"`
	}
	streamerReply struct {
		ServiceType          string   `json:"serviceType"`
		PypiIndexURL         *string  `json:"pypiIndexUrl"`
		Host                 string   `json:"host"`
		PortRange            [2]int   `json:"portRange"`
		PublicIPs            []string `json:"publicIps"`
		WaitTimeout          int64    `json:"waitTimeout"` // seconds
		InboundTransferLimit int64    `json:"inboundTransferLimit"`
	}
	wormholeReply struct {
		ServiceType  string  `json:"serviceType"`
		PypiIndexURL *string `json:"pypiIndexUrl"`
	}
)

// describe is the method as GET /status/systems shows it, nil for none. base is
// the address the client used.
func (t TransferConfig) describe(base string) any {
	var index *string
	if t.PyPIIndexURL != "" {
		index = &t.PyPIIndexURL
	}
	switch t.Method {
	case methodS3:
		return s3Reply{
			ServiceType: methodS3, Name: "s3", PrivateURL: masked, PublicURL: base + StorePath,
			AccessKeyID: masked, SecretAccessKey: masked, Region: "us-east-1", TTL: int64(time.Duration(t.TTL).Seconds()),
			Multipart: multipartReply{MaxPartSize: t.MaxPartSize, ParallelRuns: 3, TmpFolder: "tmp"},
			Lifecycle: map[string]int{"days": expireDays},
		}
	case methodStreamer:
		return streamerReply{
			ServiceType: methodStreamer, PypiIndexURL: index, Host: "127.0.0.1", PortRange: t.PortRange, PublicIPs: t.PublicIPs,
			WaitTimeout: int64(time.Duration(t.WaitTimeout).Seconds()), InboundTransferLimit: t.InboundTransferLimit,
		}
	case methodWormhole:
		return wormholeReply{ServiceType: methodWormhole, PypiIndexURL: index}
	}
	return nil
}
