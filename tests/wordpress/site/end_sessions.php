<?php
/** Ends all sessions of a user, as "Log Out Everywhere Else" does: `php end_sessions.php WORDPRESS-FOLDER LOGIN`. */

require $argv[1] . '/wp-load.php';

WP_Session_Tokens::get_instance( get_user_by( 'login', $argv[2] )->ID )->destroy_all();
