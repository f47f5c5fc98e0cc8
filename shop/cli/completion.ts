import type { CommandSpec, OptionSpec } from "./command.ts";
import { globalOptions } from "./global-options.ts";

export type Shell = "bash" | "zsh" | "fish";

/** What can follow the words that lead to one place in the tree. */
interface Place {
  /** Such as `order create`; empty at the top. */
  readonly path: string;
  readonly words: readonly Word[];
  readonly options: readonly Word[];
}

interface Word {
  readonly text: string;
  readonly summary: string;
  readonly takesValue?: boolean;
  readonly choices?: readonly string[];
  readonly isFile?: boolean;
}

/** A script that completes `flotilla` in `shell`, from the tree of commands as it is now. */
export function completionScript(shell: Shell, commands: readonly CommandSpec[]): string {
  const places = placesOf(commands);
  const write = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return write(places);
}

function placesOf(commands: readonly CommandSpec[]): Place[] {
  const everywhere = [...globalOptions.flatMap(wordsOf), { text: "--help", summary: "show help" }];
  const version = { text: "--version", summary: "show the version" };
  const top = { path: "", words: commands.map(toWord), options: [...everywhere, version] };
  const below = (spec: CommandSpec, path: string): Place[] => [
    {
      path,
      words: [
        ...(spec.commands ?? []).map(toWord),
        ...(spec.args ?? []).flatMap(([, , choices]) => choices ?? []).map(plain),
      ],
      options: [...(spec.options ?? []).flatMap(wordsOf), ...everywhere],
    },
    ...(spec.commands ?? []).flatMap((child) => below(child, `${path} ${child.name}`)),
  ];
  return [top, ...commands.flatMap((spec) => below(spec, spec.name))];
}

const plain = (text: string): Word => ({ text, summary: "" });
const toWord = ({ name, summary }: CommandSpec): Word => ({ text: name, summary });

/** `-n, --limit <count>` as the words that can be typed. */
function wordsOf({ flags, summary, choices }: OptionSpec): Word[] {
  const [names = "", value] = flags.split(/ (?=[<[])/);
  const of = { summary, takesValue: value !== undefined, isFile: value === "<file>", ...(choices && { choices }) };
  return names.split(", ").map((text) => ({ text, ...of }));
}

/** Options whose value follows as a word of its own, so that it is taken for no command. */
function valued(places: readonly Place[]): string[] {
  const all = places.flatMap(({ options }) => options.filter(({ takesValue }) => takesValue));
  return [...new Set(all.map(({ text }) => text))];
}

function filed(places: readonly Place[]): string[] {
  const all = places.flatMap(({ options }) => options.filter(({ isFile }) => isFile));
  return [...new Set(all.map(({ text }) => text))];
}

/** Finds the place by the words before the cursor; the same in bash and zsh. */
function caseOfPlaces(places: readonly Place[], line: (place: Place) => string): string {
  return places.map((place) => `    ${JSON.stringify(place.path)}) ${line(place)} ;;`).join("\n");
}

function texts(words: readonly Word[]): string {
  return words.map(({ text }) => text).join(" ");
}

function bashScript(places: readonly Place[]): string {
  const paths = places.map(({ path }) => JSON.stringify(path)).join("|");
  return `# Completion of flotilla in bash: eval "$(flotilla completion bash)"
_flotilla() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path="" word skip="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then skip=""; continue; fi
    case $word in
      ${valued(places).join("|")}) skip=1 ;;
      -*) ;;
      *) case "\${path:+$path }$word" in ${paths}) path="\${path:+$path }$word" ;; esac ;;
    esac
  done
  case $prev in
    ${filed(places).join("|")}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ${valued(places).join("|")}) return ;;
  esac
  local words options
  case $path in
${caseOfPlaces(places, ({ words, options }) => `words="${texts(words)}" options="${texts(options)}"`)}
  esac
  if [[ $cur == -* ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _flotilla flotilla`;
}

/** In single quotes of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zshScript(places: readonly Place[]): string {
  const paths = places.map(({ path }) => JSON.stringify(path)).join("|");
  const described = (words: readonly Word[]) =>
    words.map(({ text, summary }) => quoted(`${text.replaceAll(":", "\\:")}:${summary}`)).join(" ");
  return `#compdef flotilla
# Completion of flotilla in zsh: eval "$(flotilla completion zsh)"
_flotilla() {
  local place="" word skip=""
  local -a entries
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ -n $skip ]]; then skip=""; continue; fi
    case $word in
      ${valued(places).join("|")}) skip=1 ;;
      -*) ;;
      *) case "\${place:+$place }$word" in ${paths}) place="\${place:+$place }$word" ;; esac ;;
    esac
  done
  case $words[CURRENT-1] in
    ${filed(places).join("|")}) _files; return ;;
    ${valued(places).join("|")}) return ;;
  esac
  if [[ $PREFIX == -* ]]; then
    case $place in
${caseOfPlaces(places, ({ options }) => `entries=(${described(options)})`)}
    esac
  else
    case $place in
${caseOfPlaces(places, ({ words }) => `entries=(${described(words)})`)}
    esac
  fi
  _describe flotilla entries
}
(( $+functions[compdef] )) && compdef _flotilla flotilla`;
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words, options }) => {
    const at = `-n ${quoted(`__flotilla_at ${JSON.stringify(path)}`)}`;
    const own = words.map(
      ({ text, summary }) => `complete -c flotilla -f ${at} -a ${quoted(text)} -d ${quoted(summary)}`,
    );
    return [...own, ...options.map((option) => `complete -c flotilla ${at} ${fishOption(option)}`)];
  });
  return `# Completion of flotilla in fish: flotilla completion fish | source
function __flotilla_at
  set -l place
  set -l skip 0
  for word in (commandline -opc)[2..]
    if test $skip = 1; set skip 0; continue; end
    switch $word
      case ${valued(places).join(" ")}
        set skip 1
      case '-*'
      case '*'
        set -l next (string trim -- "$place $word")
        if contains -- $next ${places.map(({ path }) => quoted(path)).join(" ")}; set place $next; end
    end
  end
  test "$place" = "$argv[1]"
end
complete -c flotilla -f
${lines.join("\n")}`;
}

function fishOption({ text, summary, takesValue, isFile }: Word): string {
  const name = text.startsWith("--") ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`;
  const value = isFile ? " -rF" : takesValue ? " -x" : "";
  return `${name}${value} -d ${quoted(summary)}`;
}
