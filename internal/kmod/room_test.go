package kmod

import (
	"bytes"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

// What a guest gets is the same whether there was room to keep it plain or not.
func TestRoom(t *testing.T) {
	data := kmodtest.Module([]string{"name=a"}, "register_net_sysctl")
	for _, size := range []int{2 * len(data), len(data), len(data) - 1, 0} {
		s := NewSet("")
		s.room.Store(int64(size))
		a := s.Adder()
		a.Add("a.ko", data)
		if err := a.Wait(); err != nil {
			t.Fatal(err)
		}
		m := s.modules["a"]
		kept, err := m.content()
		if err != nil || unpack.Compressed(kept) != (size < len(data)) {
			t.Errorf("room for %d: kept as %d of %d bytes, %v", size, len(kept), len(data), err)
		}
		plain, err := m.Content()
		if err != nil || !bytes.Equal(plain, data) {
			t.Errorf("room for %d: %d bytes, %v", size, len(plain), err)
		}
		packed, err := m.packed()
		if err != nil || !bytes.Equal(packed, compress(data)) {
			t.Errorf("room for %d: %d bytes compressed, %v", size, len(packed), err)
		}
	}
}
