<?php
/**
 * The configuration of the WordPress that the tests start: each address is a site of its own.
 *
 * CHAT_BOXES_FOLDER, _TABLES and _PATH come with every request from nginx, or from the environment of
 * install.php: the folder of this run, which of its two installations to show, and below which path.
 */

define( 'CHAT_BOXES_FOLDER', $_SERVER['CHAT_BOXES_FOLDER'] );

$chat_boxes_conditions = json_decode( file_get_contents( CHAT_BOXES_FOLDER . '/conditions.json' ), true );

if ( 'early' === $chat_boxes_conditions['warns'] || 'sent' === $chat_boxes_conditions['warns'] ) {
	// Before WordPress turns the display of warnings off for admin-ajax: so a slip in this file is seen by all.
	ini_set( 'display_errors', '1' );
	$chat_boxes_slip = $chat_boxes_slip;
	if ( 'sent' === $chat_boxes_conditions['warns'] ) {
		ob_end_flush(); // as where PHP buffers no output: from here on neither status nor headers can be set
		flush();
	}
}

define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', 'wordpress' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:' . CHAT_BOXES_FOLDER . '/mariadb.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );

foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $chat_boxes_name ) {
	define( $chat_boxes_name . '_KEY', "key of $chat_boxes_name, known to all" );
	define( $chat_boxes_name . '_SALT', "salt of $chat_boxes_name, known to all" );
}

define( 'WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] . $_SERVER['CHAT_BOXES_PATH'] );
define( 'WP_SITEURL', WP_HOME );
define( 'DISABLE_WP_CRON', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
define( 'WP_DEBUG', false );

$table_prefix = $_SERVER['CHAT_BOXES_TABLES'] . '_';

if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
