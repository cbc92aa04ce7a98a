package known

import "github.com/netns-verify/netns-verify/internal/sysctl"

// WriteOnce tells that the key's namespace does not take its first value back:
// none of them leaks, but whoever writes them on a host changes it until reboot.
func WriteOnce(k sysctl.Key) bool { return writeOnce[k] != "" }

// writeOnce is such keys, with the source.
var writeOnce = map[sysctl.Key]string{
	"net/rds/tcp/rds_tcp_sndbuf": "0 at first, and then at least SOCK_MIN_SNDBUF (rds_tcp_skbuf_handler, net/rds/tcp.c)",
	"net/rds/tcp/rds_tcp_rcvbuf": "0 at first, and then at least SOCK_MIN_RCVBUF (rds_tcp_skbuf_handler, net/rds/tcp.c)",
	"net/vsock/child_ns_mode":    "takes one value, once (net/vmw_vsock/af_vsock.c; measured on 7.3-rc7)",
}
