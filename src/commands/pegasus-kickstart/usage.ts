/** What `-h` prints. */
export const USAGE = `Usage: pegasus-kickstart [OPTIONS] (-I FILE | APPLICATION [ARGUMENT...])

Runs an application and writes a record of the run in YAML.

 -n NAME     transformation, for the record
 -N NAME     derivation, for the record
 -R SITE     resource, for the record
 -L LABEL    label of the workflow, for the record
 -T TIME     time stamp of the workflow, for the record
 -i FILE     standard input: /dev/null without it, - for the wrapper's own
 -o FILE     standard output: captured without it, - for the wrapper's own;
             !FILE appends, ^FILE keeps what is there as FILE.000, !^FILE both
 -e FILE     standard error, likewise
 -l FILE     appends the record to FILE: standard output without it
 -w DIR      works in DIR
 -W DIR      likewise, and makes DIR when it is not there
 -S [LFN=]F  looks at file F before the jobs; @LIST: a file that names one a line
 -s [LFN=]F  looks at file F after the jobs and takes its sha256; @LIST likewise
 -X          makes the application executable
 -B N        shows the last N characters of captured output, 262144 without it;
             all: all of it
 -I FILE     reads application and arguments from FILE, one a line
 -H          leaves out what the record says of the machine
 -f          writes a full record, as is done of a run that failed
 -q          leaves out captured output when all went well
 -k SECONDS  sends TERM after so long, for all jobs together
 -K SECONDS  sends KILL so long after TERM, 5 without it
 -t -z -Z    tracing: accepted, and nothing is traced
 -c -F       without effect
 -V          prints the version
 -h          prints this
`;
