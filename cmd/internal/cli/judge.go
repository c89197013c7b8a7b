package cli

import (
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/cmd/internal/launch"
	"github.com/daemonry/daemonry/internal/paths"
	"github.com/daemonry/daemonry/spec"
)

// judge says why the supervisor of this machine would not take services, or could not start them as
// they are described. Programs and files are not looked for: another service may be there to make
// them.
func judge(services []spec.Service) spec.Problems {
	logDir := ""
	if p, err := paths.Find(); err == nil { // whoever needs them will say why not
		logDir = p.Log
	}
	list := spec.ValidateSupervised(services, nil, logDir)
	look := accounts{}
	for _, s := range services {
		check := func(field, kind, name string) {
			if err := look.up(kind, name); err != nil {
				list = append(list, spec.Problem{Service: s.Name, Field: field,
					Message: strings.TrimPrefix(err.Error(), kind+" ")})
			}
		}
		check("user", "user", s.User)
		for i, group := range s.Groups {
			check(fmt.Sprintf("groups[%d]", i), "group", group)
		}
		for i, socket := range s.Sockets {
			check(fmt.Sprintf("sockets[%d].owner", i), "user", socket.Owner)
		}
	}
	return list
}

// accounts are what is known by now of users and groups: a look-up may ask a server, and a file may
// have thousands of services.
type accounts map[[2]string]error

func (a accounts) up(kind, name string) error {
	if name == "" {
		return nil
	}
	key := [2]string{kind, name}
	err, known := a[key]
	if known {
		return err
	}
	if kind == "user" {
		_, err = launch.LookupAccount(name)
	} else {
		_, err = launch.LookupGroup(name)
	}
	a[key] = err
	return err
}
