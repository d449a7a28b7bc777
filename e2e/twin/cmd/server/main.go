// The server links every module that go.mod names directly, and prints one line for each.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/avast/retry-go/v4"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/getsentry/sentry-go"
	"github.com/go-http-utils/etag"
	"github.com/go-ldap/ldap/v3"
	"github.com/go-openapi/runtime"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/gorilla/handlers"
	"github.com/gorilla/mux"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	"github.com/gorilla/websocket"
	"github.com/grafana/pyroscope-go"
	"github.com/jackc/pgx/v5"
	"github.com/jellydator/ttlcache/v3"
	"github.com/mitchellh/mapstructure"
	ber "github.com/nmcclain/asn1-ber"
	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sethvargo/go-envconfig"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/wwt/guac"
	"golang.org/x/exp/constraints"
	"golang.org/x/oauth2"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v2"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"layeh.com/radius"

	"goauthentik.io/internal/version"
	files "goauthentik.io/web"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func largest[T constraints.Ordered](a, b T) T { return max(a, b) }

// web touches what serves and asks over HTTP.
func web(said map[string]any) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	router := mux.NewRouter()
	router.Handle("/", etag.Handler(handlers.CompressHandler(handler), false)).Name("root")
	said["gorilla/mux"] = must(router.Get("root").GetPathTemplate())
	said["go-http-utils/etag"] = etag.Handler(handler, true) != nil
	said["gorilla/handlers"] = handlers.CompressHandler(handler) != nil
	key := []byte(strings.Repeat("k", 32))
	var read string
	codec := securecookie.New(key, nil)
	if err := codec.Decode("n", must(codec.Encode("n", "cookie")), &read); err != nil {
		panic(err)
	}
	said["gorilla/securecookie"] = read
	said["gorilla/sessions"] = sessions.NewCookieStore(key).Options.Path
	said["gorilla/websocket"] = websocket.IsWebSocketUpgrade(&http.Request{})
	said["go-proxyproto"] = proxyproto.TCPv4.IsStream()
	said["go-oidc"] = oidc.ScopeOpenID
	said["x/oauth2"] = (&oauth2.Token{AccessToken: "a"}).Type()
	said["go-openapi/runtime"] = runtime.JSONMime
	token := must(jwt.New(jwt.SigningMethodHS256).SignedString(key))
	said["golang-jwt"] = strings.Count(token, ".")
}

// wire touches databases, directories and other protocols.
func wire(said map[string]any) {
	said["pgx"] = must(pgx.ParseConfig("postgres://user@localhost/name")).Database
	said["gorm"] = gorm.ErrRecordNotFound.Error()
	said["gorm/postgres"] = postgres.Open("host=localhost").Name()
	said["go-ldap"] = must(ldap.ParseDN("cn=a,dc=b")).String()
	said["asn1-ber"] = ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "v", "d").Value
	said["radius"] = radius.CodeAccessRequest.String()
	said["guac"] = guac.NewInstruction("select", "rdp").String()
}

// rest touches everything else.
func rest(said map[string]any) {
	said["retry-go"] = retry.Do(func() error { return nil }) == nil
	said["sentry-go"] = sentry.SDKVersion
	said["uuid"] = uuid.NewSHA1(uuid.NameSpaceDNS, []byte("twin.example")).String()
	said["pyroscope-go"] = string(pyroscope.ProfileCPU)
	cache := ttlcache.New(ttlcache.WithTTL[string, int](time.Minute))
	cache.Set("k", 1, ttlcache.DefaultTTL)
	said["ttlcache"] = cache.Get("k").Value()
	var decoded struct{ Name string }
	said["mapstructure"] = mapstructure.Decode(map[string]any{"name": "n"}, &decoded) == nil && decoded.Name == "n"
	said["client_golang"] = prometheus.BuildFQName("a", "b", "c")
	var settings struct {
		Name string `env:"NAME, default=default"`
	}
	if err := envconfig.ProcessWith(context.Background(), &envconfig.Config{Target: &settings, Lookuper: envconfig.MapLookuper(nil)}); err != nil {
		panic(err)
	}
	said["go-envconfig"] = settings.Name
	said["logrus"] = logrus.InfoLevel.String()
	said["testify"] = assert.ObjectsAreEqual(1, 1)
	said["api"] = version.UserAgent()
	said["robots"] = len(files.RobotsTxt)
	said["x/exp"] = largest(1, 2)
	var group errgroup.Group
	group.Go(func() error { return errors.New("one") })
	said["x/sync"] = group.Wait().Error()
	said["yaml.v2"] = string(must(yaml.Marshal(map[string]int{"a": 1})))
}

func main() {
	root := &cobra.Command{Use: "server", Run: func(*cobra.Command, []string) {
		said := map[string]any{}
		web(said)
		wire(said)
		rest(said)
		for _, name := range slices.Sorted(maps.Keys(said)) {
			fmt.Printf("%s: %q\n", name, fmt.Sprint(said[name]))
		}
	}}
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
