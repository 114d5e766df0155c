//! The help of `toxiproxy-cli` and its commands.

pub(super) const TOP: &str = "\
NAME:
   toxiproxy-cli - Simulate network and system conditions

USAGE:
   toxiproxy-cli [global options] command [command options] [arguments...]

COMMANDS:
   list, l, li, ls  list all proxies
                    usage: 'toxiproxy-cli list'

   inspect, i, ins  inspect a single proxy
                    usage: 'toxiproxy-cli inspect <proxyName>'

   create, c, new   create a new proxy
                    usage: 'toxiproxy-cli create --listen <addr> --upstream <addr> <proxyName>'

   toggle, tog      toggle enabled status on a proxy
                    usage: 'toxiproxy-cli toggle <proxyName>'

   delete, d        delete a proxy
                    usage: 'toxiproxy-cli delete <proxyName>'

   toxic, t         add, remove or update a toxic
                    usage: see 'toxiproxy-cli toxic'

   help, h          Shows a list of commands or help for one command

GLOBAL OPTIONS:
   --host value, -h value  toxiproxy host to connect to (default: \"http://localhost:8474\") [$TOXIPROXY_URL]
   --help                  show help
   --version, -v           print the version
";

pub(super) const LIST: &str = "\
NAME:
   toxiproxy-cli list - list all proxies

USAGE:
   toxiproxy-cli list
";

pub(super) const INSPECT: &str = "\
NAME:
   toxiproxy-cli inspect - inspect a single proxy

USAGE:
   toxiproxy-cli inspect <proxyName>
";

pub(super) const CREATE: &str = "\
NAME:
   toxiproxy-cli create - create a new proxy

USAGE:
   toxiproxy-cli create --listen <addr> --upstream <addr> <proxyName>

OPTIONS:
   --listen value, -l value    proxy will listen on this address
   --upstream value, -u value  proxy will forward to this address
";

pub(super) const TOGGLE: &str = "\
NAME:
   toxiproxy-cli toggle - toggle enabled status on a proxy

USAGE:
   toxiproxy-cli toggle <proxyName>
";

pub(super) const DELETE: &str = "\
NAME:
   toxiproxy-cli delete - delete a proxy

USAGE:
   toxiproxy-cli delete <proxyName>
";

pub(super) const TOXIC: &str = "\
NAME:
   toxiproxy-cli toxic - add, remove or update a toxic

USAGE:
   toxiproxy-cli toxic command [command options] [arguments...]

DESCRIPTION:
   Default Toxics:
     latency:    delay all data +/- jitter
                 latency=<ms>,jitter=<ms>

     bandwidth:  limit to max kb/s
                 rate=<KB/s>

     slow_close: delay from closing
                 delay=<ms>

     timeout:    stop all data and close after timeout
                 timeout=<ms>

     reset_peer: simulate TCP RESET (Connection reset by peer) on the connections by closing
                 the stub Input immediately or after a timeout
                 timeout=<ms>

     slicer:     slice data into bits with optional delay
                 average_size=<bytes>,size_variation=<bytes>,delay=<microseconds>

     limit_data: close the connection after so many bytes
                 bytes=<bytes>

     toxic add:
       usage: toxiproxy-cli toxic add --type <toxicType> [--downstream|--upstream] \\
               --toxicName <toxicName> [--toxicity <float>] \\
               --attribute <key=value> [--attribute <key2=value2>] <proxyName>

       example: toxiproxy-cli toxic add -t latency -n myToxic -a latency=100 -a jitter=50 myProxy

     toxic update:
       usage: toxiproxy-cli toxic update --toxicName <toxicName> [--toxicity <float>] \\
               --attribute <key1=value1> [--attribute <key2=value2>] <proxyName>

       example: toxiproxy-cli toxic update -n myToxic -a jitter=25 myProxy

     toxic delete:
       usage: toxiproxy-cli toxic delete --toxicName <toxicName> <proxyName>

       example: toxiproxy-cli toxic delete -n myToxic myProxy

COMMANDS:
   add, a                add a new toxic
   update, u             update an enabled toxic
   remove, r, delete, d  remove an enabled toxic
   help, h               Shows a list of commands or help for one command
";

pub(super) const TOXIC_ADD: &str = "\
NAME:
   toxiproxy-cli toxic add - add a new toxic

USAGE:
   toxiproxy-cli toxic add [command options] <proxyName>

OPTIONS:
   --toxicName value, -n value    name of the toxic
   --type value, -t value         type of toxic
   --toxicity value, --tox value  toxicity of toxic should be a float between 0 and 1 (default: 1.0)
   --attribute value, -a value    toxic attribute in key=value format
   --upstream, -u                 add toxic to upstream (default: false)
   --downstream, -d               add toxic to downstream (default: true)
";

pub(super) const TOXIC_UPDATE: &str = "\
NAME:
   toxiproxy-cli toxic update - update an enabled toxic

USAGE:
   toxiproxy-cli toxic update [command options] <proxyName>

OPTIONS:
   --toxicName value, -n value    name of the toxic
   --toxicity value, --tox value  toxicity of toxic should be a float between 0 and 1 (default: 1.0)
   --attribute value, -a value    toxic attribute in key=value format
";

pub(super) const TOXIC_REMOVE: &str = "\
NAME:
   toxiproxy-cli toxic remove - remove an enabled toxic

USAGE:
   toxiproxy-cli toxic remove [command options] <proxyName>

OPTIONS:
   --toxicName value, -n value  name of the toxic
";
