#!/usr/bin/env bash
# A server of MariaDB in the folder that is named, and clients that fill a table side by side, change it and end the server.
set -euo pipefail
folder=$1
socket=$folder/socket

work() {
  until mariadb-admin --no-defaults --socket="$socket" --user=root --silent ping >/dev/null 2>&1; do sleep 0.2; done
  local client=(mariadb --no-defaults --socket="$socket" --user=root)
  "${client[@]}" -e "create database t; use t; create table a (id int auto_increment primary key, b varchar(2000)) engine=innodb;"
  local clients=()
  for _ in 1 2 3 4; do
    "${client[@]}" t -e "insert into a (b) select repeat('x', 1500) from seq_1_to_2000;" &
    clients+=($!)
  done
  wait "${clients[@]}"
  "${client[@]}" t -e "update a set b = repeat('y', 1400) where id % 3 = 0; delete from a order by id limit 1600;"
  "${client[@]}" t --skip-column-names -e "select concat('rows ', count(*)) from a;"
  mariadb-admin --no-defaults --socket="$socket" --user=root shutdown
}

work &
exec mariadbd --no-defaults --datadir="$folder" --socket="$socket" --skip-networking --innodb-use-native-aio=1 \
  --innodb-buffer-pool-size=8M --pid-file="$folder/pid" --tmpdir="$folder"
