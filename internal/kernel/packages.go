package kernel

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

// FromPackages takes kernels and their modules out of Debian packages. Several may
// make up one kernel (linux-image, linux-binary, linux-modules): what is of the same
// release belongs together. A package with neither is an error, unless its file's name
// says that it goes with a kernel found in another one, as newer linux-image packages
// do. Kernels come in the order in which they are first met. ctx ends it early, with its
// cause.
func FromPackages(ctx context.Context, paths ...string) ([]*Kernel, error) {
	c := &collection{parts: map[string]*part{}}
	for _, p := range paths {
		if err := c.readPackage(ctx, p); err != nil {
			return nil, err
		}
	}
	return c.kernels()
}

// collection is what was found, by release.
type collection struct {
	parts map[string]*part
	order []string
	// empty are the packages that have neither kernel nor modules.
	empty []string
}

// part is what belongs to one release.
type part struct {
	kernel  *Kernel
	modules *kmod.Set
	adder   *kmod.Adder
	// from are the packages that have some of it.
	from []string
}

func (c *collection) readPackage(ctx context.Context, file string) (err error) {
	f, err := openRegular(file, MaxPackage, ErrPackage)
	if err != nil {
		return err
	}
	defer f.Close()
	defer func() {
		for _, release := range c.order {
			err = cmp.Or(err, c.parts[release].adder.Wait())
		}
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx) // whatever it led to
		case err != nil:
			err = fmt.Errorf("%s: %w", file, err)
		}
	}()
	useful := false
	err = readDeb(reader{ctx, f}, func(name string, size int64, content io.Reader) error {
		release, kind := classify(name)
		if kind == nothing || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !strconv.CanBackquote(name) || strings.Contains(name, "\t") { // it is shown on terminals
			return fmt.Errorf("%w: a file that is called %.200q", ErrPackage, name)
		}
		useful = true
		return c.of(release, file).take(kind, name, size, content)
	})
	if !useful {
		c.empty = append(c.empty, file)
	}
	return err
}

func (c *collection) of(release, file string) *part {
	p := c.parts[release]
	if p == nil {
		set := kmod.NewSet(release)
		p = &part{modules: set, adder: set.Adder()}
		c.parts[release] = p
		c.order = append(c.order, release)
	}
	if len(p.from) == 0 || p.from[len(p.from)-1] != file {
		p.from = append(p.from, file)
	}
	return p
}

type kind int

const (
	nothing kind = iota
	image
	module
)

// classify tells by a file's name what it is, and of which release. What cannot be one
// is nothing.
func classify(name string) (string, kind) {
	if release, ok := strings.CutPrefix(name, "boot/vmlinuz-"); ok && isRelease(release) {
		return release, image
	}
	below, ok := strings.CutPrefix(strings.TrimPrefix(name, "usr/"), "lib/modules/")
	release, file, in := strings.Cut(below, "/")
	switch {
	case !ok || !in || !isRelease(release):
		return "", nothing
	case file == "vmlinuz":
		return release, image
	case kmod.IsModule(file):
		return release, module
	}
	return "", nothing
}

func (p *part) take(kind kind, name string, size int64, content io.Reader) error {
	limit := int64(kmod.MaxModule)
	if kind == image {
		limit = MaxImage
	}
	if size > limit {
		return fmt.Errorf("%s: %w", name, unpack.ErrTooLarge)
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if kind == module {
		p.adder.Add(name, data)
		if p.adder.Failed() { // what follows would be read in vain
			return p.adder.Wait()
		}
		return nil
	}
	if p.kernel != nil {
		return fmt.Errorf("%s: a second image of that release", name)
	}
	p.kernel, err = newKernel(name, path.Base(name), data)
	return err
}

// kernels puts the parts together.
func (c *collection) kernels() ([]*Kernel, error) {
	var kernels []*Kernel
	for _, release := range c.order {
		p := c.parts[release]
		from := strings.Join(p.from, ", ")
		if p.kernel == nil {
			if p.modules.Len() == 0 {
				return nil, fmt.Errorf("%s: %w", from, ErrNoKernel)
			}
			return nil, fmt.Errorf("%s: %w: only modules of %s; its image is in a package beside %s", from, ErrNoKernel, release, filepath.Base(p.from[0]))
		}
		if p.kernel.Release == "" {
			p.kernel.Release, p.kernel.Name = release, release
		}
		if p.kernel.Release != release {
			return nil, fmt.Errorf("%s: the image of %s says that it is %s", from, release, p.kernel.Release)
		}
		p.kernel.Modules = p.modules
		kernels = append(kernels, p.kernel)
	}
	for _, file := range c.empty {
		goesWith := func(release string) bool { return strings.Contains(filepath.Base(file), release) }
		if !slices.ContainsFunc(c.order, goesWith) {
			return nil, fmt.Errorf("%s: %w, and no modules (is it a package that only depends on others?)", file, ErrNoKernel)
		}
	}
	return kernels, nil
}
